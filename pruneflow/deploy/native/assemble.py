"""Which operations the C kernels run for a graph, in which order, and where results lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.memory import Tenant, place
from pruneflow.deploy.graphs.ops import ACTIVATIONS, Shape, Value
from pruneflow.deploy.native.abi import Map
from pruneflow.errors import DeployError

UNIT = 16
"""Offsets are multiples of so many floats: a cache line, and the widest vector."""

MOST_FLOATS = 2**30
"""Of a sample's feature maps, padding included: 4 GiB. Offsets among them fit 32 bits."""

FUSED_INTO = ("conv2d", "linear", "add")


@dataclass
class Step:
    """A node, and the activation that the same pass applies.

    Attributes:
        node: What is computed.
        inputs: Names of the results it reads.
        output: The name of its result: the activation's where there is one.
        activation: The node fused behind it.
    """

    node: Node
    inputs: tuple[str, ...]
    output: str
    activation: Node | None = None


class Layout:
    """A graph in the order the C kernels run it, with every result's place.

    Results of three dimensions are feature maps and belong to one sample; all others are vectors,
    and lie in a matrix of features times samples.

    Args:
        graph: The network.
        tensor_shapes: Of its weights and biases.

    Attributes:
        steps: First those on feature maps, flattenings included, then those on vectors.
        maps: Where feature maps lie, in floats.
        phases: Where a convolution's input lies, padded and split; by the convolution's name.
        rows: At which row of the matrix vectors begin.
        map_floats: Floats of all feature maps.
        matrix_rows: Rows of the matrix.

    Raises:
        DeployError: Feature maps take too much memory.
    """

    def __init__(self, graph: Graph, tensor_shapes: dict[str, Shape]) -> None:
        self.graph = graph
        self.shapes = graph.shapes(tensor_shapes)
        self._weights = tensor_shapes
        self._alias: dict[str, str] = {}
        steps = list(self._fused())
        self.steps = sorted(steps, key=lambda step: not self.runs_on_maps(step))
        self.phases: dict[str, Map] = {}
        self.maps: dict[str, Map] = {}
        self._shape_maps()
        self._place_maps()
        sizes = {
            name: -(-prod(self.shapes[name]) // UNIT) * UNIT
            for name in (INPUT, *(step.output for step in self.steps))
            if not self.is_map(name)
        }
        lives = {name: Tenant(size, *self._life(name)) for name, size in sizes.items()}
        self.rows, self.matrix_rows = place(lives, UNIT)

    @property
    def output(self) -> str:
        """The name of the result that is the network's."""
        return self._alias.get(self.graph.output, self.graph.output)

    def is_map(self, name: str) -> bool:
        """Whether a result is a feature map; inputs that are only ever flattened are not."""
        if name == INPUT:
            read_by = {node.op for node in self.graph.consumers(INPUT)}
            return len(self.shapes[INPUT]) == 3 and read_by != {"flatten"}
        return len(self.shapes[name]) == 3

    def runs_on_maps(self, step: Step) -> bool:
        """Whether a step reads feature maps."""
        return self.is_map(step.inputs[0])

    def _fused(self) -> Iterator[Step]:
        """The nodes, activations joined to the layer before where nothing else reads it."""
        made: dict[str, Step] = {}
        for node in self.graph.nodes:
            inputs = tuple(self._alias.get(name, name) for name in node.inputs)
            before = made.get(node.inputs[0])
            if node.op == "flatten" and not self.is_map(inputs[0]):
                self._alias[node.name] = inputs[0]
            elif (
                node.op in ACTIVATIONS
                and before is not None
                and before.activation is None
                and before.node.op in FUSED_INTO
                and len(self.graph.consumers(before.output)) == 1
            ):
                before.activation, before.output = node, node.name
                made[node.name] = before
            else:
                made[node.name] = Step(node, inputs, node.name)
        yield from {id(step): step for step in made.values()}.values()

    def _life(self, name: str) -> tuple[int, int]:
        """The step that writes a result, and the last one that reads it."""
        first = next((i for i, step in enumerate(self.steps) if step.output == name), -1)
        last = max((i for i, step in enumerate(self.steps) if name in step.inputs), default=first)
        return first, len(self.steps) if name == self.output else last

    def _shape_maps(self) -> None:
        if self.is_map(INPUT):
            channels, height, width = self.shapes[INPUT]
            self.maps[INPUT] = Map(0, height * width, channels, height, width, width)
        for step in self.steps:
            if not self.is_map(step.output):
                continue
            channels, height, width = self.shapes[step.output]
            pitch = width
            if step.node.op == "conv2d":
                source = self.maps[step.inputs[0]]
                if (phases := self._phases(step.node, source)) is not None:
                    self.phases[step.node.name] = source = phases
                pitch = source.pitch
            plane = -(-height * pitch // UNIT) * UNIT
            self.maps[step.output] = Map(0, plane, channels, height, width, pitch)

    def _place_maps(self) -> None:
        tenants = {}
        for name, where in self.maps.items():
            tenants[name] = Tenant(where.channels * where.plane, *self._life(name))
        for i, step in enumerate(self.steps):
            if step.node.name in self.phases:
                where = self.phases[step.node.name]
                tenants[f"phases of {step.node.name}"] = Tenant(where.channels * where.plane, i, i)
        offsets, self.map_floats = place(tenants, UNIT)
        _require(self.map_floats, "the feature maps of a sample")
        for name, where in self.maps.items():
            where.offset = offsets[name]
        for name, where in self.phases.items():
            where.offset = offsets[f"phases of {name}"]

    def _phases(self, node: Node, source: Map) -> Map | None:
        """A convolution's input, padded and split by the phases of its stride, if it has to be."""
        stride, padding = node.options["stride"], node.options["padding"]
        assert isinstance(stride, list)
        assert isinstance(padding, list)
        assert node.weight is not None
        if stride == [1, 1] and padding == [0, 0]:
            return None
        height = -(-(source.height + 2 * padding[0]) // stride[0])
        width = -(-(source.width + 2 * padding[1]) // stride[1])
        channels = source.channels * prod(phases_of(node.options, self._weights[node.weight][2:]))
        plane = -(-height * width // UNIT) * UNIT
        _require(channels * plane, f"the padded input of {node.name}")
        return Map(0, plane, channels, height, width, width)


def _require(floats: int, what: str) -> None:
    if floats > MOST_FLOATS:
        need, most = 4 * floats / 2**30, 4 * MOST_FLOATS // 2**30
        raise DeployError(f"{what} would take {need:.3g} GiB; the C kernels take {most} at most")


def phases_of(options: Mapping[str, Value], kernel: Sequence[int]) -> tuple[int, int]:
    """Along height and width: how many phases of its stride a convolution reads.

    Args:
        options: Of the convolution.
        kernel: Its height and width.
    """
    stride, dilation = options["stride"], options["dilation"]
    assert isinstance(stride, list)
    assert isinstance(dilation, list)
    reaches = [(side - 1) * gap + 1 for side, gap in zip(kernel, dilation, strict=True)]
    return min(stride[0], reaches[0]), min(stride[1], reaches[1])
