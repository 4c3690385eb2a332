"""A graph as an ONNX model: opset 17, float32, a batch of any size.

Padding is written out for every side, since runtimes disagree about ``ceil_mode``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Shape
from pruneflow.errors import DeployError

if TYPE_CHECKING:
    import onnx

OPSET = 17
IR_VERSION = 8  # the first one for this opset: older runtimes read it too


def build(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The model, with input ``input`` (n, ...) and one output named as the graph's.

    Args:
        graph: What it does.
        tensors: Weights and biases by name.

    Raises:
        BundleError: The tensors do not fit the graph.
        DeployError: The package onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper
    except ModuleNotFoundError as error:
        raise DeployError("ONNX needs a package: pip install 'pruneflow[deploy]'") from error
    shapes = graph.shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    writer = _Writer(tensors, shapes)
    for node in graph.nodes:
        WRITERS[node.op](writer, node)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shapes[name]])
        for name in (INPUT, graph.output)
    ]
    main = helper.make_graph(
        writer.nodes, "network", ends[:1], ends[1:], list(writer.initializers.values())
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        main, opset_imports=opset, ir_version=IR_VERSION, producer_name="pruneflow"
    )
    return bytes(model.SerializeToString())


class _Writer:
    """The model so far: results are called like their nodes, initializers have a colon."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], shapes: Mapping[str, Shape]) -> None:
        self.shapes = shapes
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._tensors = tensors

    def add(
        self,
        kind: str,
        node: Node,
        extra: Sequence[str] = (),
        inputs: Sequence[str] = (),
        **attributes: Any,
    ) -> None:
        """Append the ONNX operation that computes a node's result."""
        given = [*(inputs or node.inputs), *extra]
        self.append(kind, given, node.name, **attributes)

    def append(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        """Append an ONNX operation."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))

    def parameters(self, node: Node) -> list[str]:
        """Names of the initializers that hold a node's weight and bias."""
        names = [name for name in (node.weight, node.bias) if name is not None]
        return [self.initializer(f"{name}:tensor", self._tensors[name].float()) for name in names]

    def initializer(self, name: str, tensor: torch.Tensor) -> str:
        """Keep a tensor under a name, once."""
        from onnx import numpy_helper

        if name not in self.initializers:
            array = tensor.detach().cpu().contiguous().numpy()
            self.initializers[name] = numpy_helper.from_array(array, name)
        return name


@dataclass(frozen=True)
class _Windows:
    """Where the windows of a pool stand, all sides as (height, width)."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    sides: Shape
    counts: Shape

    @classmethod
    def of(cls, node: Node, shapes: Mapping[str, Shape]) -> _Windows:
        """The windows of a pooling node."""
        options = cast(Mapping[str, list[int]], node.options)
        kernel, stride, padding = (options[key] for key in ("kernel", "stride", "padding"))
        sides, counts = shapes[node.inputs[0]][1:], shapes[node.name][1:]
        return cls(kernel, stride, padding, options.get("dilation", [1, 1]), sides, counts)

    def beyond(self) -> list[int]:
        """By how much the last windows stick out behind the padded maps."""
        ends = [
            (count - 1) * step + gap * (k - 1) + 1 - side - 2 * pad
            for count, step, gap, k, side, pad in zip(
                self.counts,
                self.stride,
                self.dilation,
                self.kernel,
                self.sides,
                self.padding,
                strict=True,
            )
        ]
        return [max(0, end) for end in ends]

    def pads(self) -> list[int]:
        """Padding in front and behind, as ONNX wants it, with which no window sticks out."""
        behind = [pad + more for pad, more in zip(self.padding, self.beyond(), strict=True)]
        return [*self.padding, *behind]


def _linear(writer: _Writer, node: Node) -> None:
    writer.add("Gemm", node, writer.parameters(node), transB=1)


def _conv2d(writer: _Writer, node: Node) -> None:
    options = cast(Mapping[str, list[int]], node.options)
    writer.add(
        "Conv",
        node,
        writer.parameters(node),
        strides=options["stride"],
        pads=options["padding"] * 2,
        dilations=options["dilation"],
        group=node.options["groups"],
    )


def _relu6(writer: _Writer, node: Node) -> None:
    limits = [writer.initializer(f"constant:{n}", torch.tensor(n)) for n in (0.0, 6.0)]
    writer.add("Clip", node, limits)


def _leaky_relu(writer: _Writer, node: Node) -> None:
    writer.add("LeakyRelu", node, alpha=float(cast(float, node.options["slope"])))


def _max_pool(writer: _Writer, node: Node) -> None:
    windows = _Windows.of(node, writer.shapes)
    pads, inputs = windows.pads(), node.inputs
    if any(pad >= k for pad, k in zip(pads, windows.kernel * 2, strict=True)):
        inputs, pads = _padded(writer, node, pads, float("-inf")), [0] * 4  # runtimes refuse it
    writer.add(
        "MaxPool",
        node,
        inputs=inputs,
        kernel_shape=windows.kernel,
        strides=windows.stride,
        pads=pads,
        dilations=windows.dilation,
    )


def _avg_pool(writer: _Writer, node: Node) -> None:
    windows = _Windows.of(node, writer.shapes)
    pads, inputs = windows.pads(), node.inputs
    if node.options["count_include_pad"]:  # padding counts, what lies beyond it does not
        inputs = _padded(writer, node, windows.padding * 2, 0.0)
        pads = [0, 0, *windows.beyond()]
    writer.add(
        "AveragePool",
        node,
        inputs=inputs,
        kernel_shape=windows.kernel,
        strides=windows.stride,
        pads=pads,
    )


def _padded(writer: _Writer, node: Node, pads: list[int], value: float) -> tuple[str]:
    """The name of a node's input with padding (top, left, bottom, right) around it."""
    if not any(pads):
        return (node.inputs[0],)
    sides = [0, 0, *pads[:2], 0, 0, *pads[2:]]
    extents = writer.initializer(f"constant:{sides}", torch.tensor(sides))
    content = writer.initializer(f"constant:{value}", torch.tensor(value))
    name = f"{node.name}:padded"
    writer.append("Pad", [*node.inputs, extents, content], name)
    return (name,)


WRITERS: Mapping[str, Callable[[_Writer, Node], None]] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "relu": lambda writer, node: writer.add("Relu", node),
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "max_pool2d": _max_pool,
    "avg_pool2d": _avg_pool,
    "global_avg_pool": lambda writer, node: writer.add("GlobalAveragePool", node),
    "flatten": lambda writer, node: writer.add("Flatten", node, axis=1),
    "add": lambda writer, node: writer.add("Add", node),
    "softmax": lambda writer, node: writer.add("Softmax", node, axis=1),
}
