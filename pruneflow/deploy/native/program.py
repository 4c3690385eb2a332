"""A graph in one call of the C kernels."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, prod

import torch

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.inputs import require
from pruneflow.deploy.native import layers
from pruneflow.deploy.native.abi import (
    Activation,
    ActivationKind,
    Call,
    Frame,
    Kind,
    Map,
    Op,
    Program,
)  # fmt: skip
from pruneflow.deploy.native.assemble import Layout, Step
from pruneflow.deploy.native.library import library

_ON_MAPS = {
    "conv2d": Kind.CONV, "max_pool2d": Kind.MAX_POOL, "avg_pool2d": Kind.AVERAGE_POOL,
    "global_avg_pool": Kind.AVERAGE_ALL, "flatten": Kind.FLATTEN,
}  # fmt: skip
_ON_VECTORS = {"softmax": Kind.SOFTMAX}

_FLOAT, _CPU = torch.float32, torch.device("cpu")


@dataclass(frozen=True)
class _Prepared:
    """What one thread's calls with inputs of one shape have in common."""

    call: Call
    arena: layers.Arena
    like: torch.Tensor


class _Latest(threading.local):
    """The shape of a thread's last inputs, its threads, where its call lies, and what keeps it."""

    state: tuple[torch.Size | None, int, int, _Prepared | None] = (None, 0, 0, None)


class NativeProgram:
    """Runs a network on the CPU, zeros skipped, in one call.

    Args:
        graph: The network.
        tensors: Its weights and biases by name; they are copied.

    Raises:
        BundleError: The tensors do not fit the graph.
        DeployError: There are no C kernels here, or feature maps take too much memory.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, torch.Tensor]) -> None:
        kernels = library().handle
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        self._layout = layout = Layout(graph, shapes)
        self._arena = layers.Arena()
        self._tensors = {
            name: tensors[name].detach().to(_CPU, _FLOAT) for name in graph.tensor_names()
        }
        self._ops = (Op * max(len(layout.steps), 1))(*(self._op(step) for step in layout.steps))
        self._program = Program(
            ops=ctypes.addressof(self._ops),
            count=len(layout.steps),
            first_matrix_op=sum(layout.runs_on_maps(step) for step in layout.steps),
            input_size=prod(graph.input_shape),
            output_size=prod(layout.shapes[graph.output]),
            input=layout.maps.get(INPUT, Map()),
            matrix_input=layout.rows.get(INPUT, 0),
            output=layout.rows.get(layout.output, 0),
            output_map=layout.maps.get(layout.output, Map()),
            map_floats=layout.map_floats,
            matrix_rows=layout.matrix_rows,
        )
        self.input_shape = graph.input_shape
        self.output_shape = layout.shapes[graph.output]
        self._address = ctypes.addressof(self._program)
        self._run, self._scratch_floats = kernels.pf_run, kernels.pf_scratch_floats
        self._most_threads = None if library().is_threaded else 1
        self._latest = _Latest()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The output (n, ...) for float32 inputs (n, *input_shape) on the CPU.

        Raises:
            DeployError: The inputs are others.
        """
        threads = self._most_threads or torch.get_num_threads()
        shape, known_threads, call, prepared = self._latest.state
        if x.shape != shape or threads != known_threads or prepared is None:
            call, prepared = self._prepare(x, threads)
        if x.dtype != _FLOAT or not x.is_cpu:
            require(x, self.input_shape)
        if not x.is_contiguous():
            x = x.contiguous()
        y = torch.empty_like(prepared.like)
        self._run(call, x.data_ptr(), y.data_ptr())
        return y

    def __reduce__(self) -> tuple[type[NativeProgram], tuple[Graph, dict[str, torch.Tensor]]]:
        """Copies are built anew: addresses are worth nothing elsewhere."""
        return type(self), (self._layout.graph, self._tensors)

    def _prepare(self, x: torch.Tensor, threads: int) -> tuple[int, _Prepared]:
        """Make ready for inputs of another shape."""
        require(x, self.input_shape)
        arena, batch = layers.Arena(), len(x)
        call = Call(ctypes.addressof(self._program), None, batch, threads)
        address = ctypes.addressof(call)
        call.scratch = arena.zeros(int(self._scratch_floats(address)))
        like = torch.empty(batch, *self.output_shape, dtype=_FLOAT, device=_CPU)
        prepared = _Prepared(call, arena, like)
        self._latest.state = (x.shape, threads, address, prepared)
        return address, prepared

    def _op(self, step: Step) -> Op:
        layout, node = self._layout, step.node
        on_maps = layout.runs_on_maps(step)
        source, *more = (self._place(name) for name in step.inputs)
        op = Op(
            kind=(
                _ON_MAPS.get(node.op, Kind.ADD_MAPS)
                if on_maps
                else _ON_VECTORS.get(node.op, Kind.ADD)
            ),
            activation=_activation(step.activation or node),
            input=source,
            other=more[0] if more else Map(),
            output=self._place(step.output),
            phases=layout.phases.get(node.name, Map()),
            frame=self._frame(node),
            has_other=len(more),
        )
        if node.op in ("max_pool2d", "avg_pool2d"):
            op.variant = node.op == "max_pool2d" and _halves(node, source, op.output)
        if node.weight is not None:
            self._add_weights(op, node)
        return op

    def _add_weights(self, op: Op, node: Node) -> None:
        assert node.weight is not None
        weight = self._tensors[node.weight]
        bias = None if node.bias is None else self._tensors[node.bias]
        starts, columns, values = layers.sparse_rows(weight)
        places = columns
        if node.op == "conv2d":
            source = op.phases if op.phases.channels else op.input
            places = layers.convolution_places(weight, columns, starts, source, node.options)
        else:
            op.kind = Kind.LINEAR
            chosen = layers.vector_layout(self._arena, weight, starts, columns, values)
            op.variant, op.windows, op.panels = chosen
        op.rows = layers.rows_of(self._arena, starts, places, values, bias)

    def _frame(self, node: Node) -> Frame:
        pairs = {"dilation": [1, 1]}
        pairs |= {key: value for key, value in node.options.items() if isinstance(value, list)}
        if node.weight is not None:
            pairs["kernel"] = list(self._tensors[node.weight].shape[2:])
        counts = bool(node.options.get("count_include_pad", False))
        sides = {key: (ctypes.c_int32 * 2)(*pair) for key, pair in pairs.items()}
        return Frame(count_padding=counts, **sides)

    def _place(self, name: str) -> Map:
        layout = self._layout
        if layout.is_map(name):
            return layout.maps[name]
        return Map(offset=layout.rows[name], channels=prod(layout.shapes[name]))


def _activation(node: Node) -> Activation:
    if node.op == "leaky_relu":
        return Activation(ActivationKind.LEAKY, node.options["slope"], 0.0)
    highest = {"relu": inf, "relu6": 6.0}
    if node.op in highest:
        return Activation(ActivationKind.CLAMP, 0.0, highest[node.op])
    return Activation(ActivationKind.NONE, 0.0, 0.0)


def _halves(node: Node, source: Map, output: Map) -> bool:
    """Whether a pool is that of 2 x 2 pixels side by side, none of them outside."""
    plain = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}
    inside = 2 * output.height <= source.height and 2 * output.width <= source.width
    return inside and all(node.options[key] == value for key, value in plain.items())
