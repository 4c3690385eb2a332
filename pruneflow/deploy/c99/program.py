"""A graph as the passes that C code makes over its results.

What follows a convolution joins it where nothing else reads what is between: the addition of
another result, an activation, a pool. They run plane by plane, so that a feature map which is only
ever pooled is never held as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pruneflow.deploy.c99.layout import NO_FRAME, Frame, Layout, frames_of
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import ACTIVATIONS, Shape

COPY = "copy"
"""A pass that no node of the graph stands for: from one layout to another."""
FRAMED_INPUT, BARE_OUTPUT = "input in a frame", "output without a frame"
"""Results of such passes; no node can be called so."""
POOLS = ("max_pool2d", "avg_pool2d", "global_avg_pool")
ACTIVATED = ("linear", "conv2d", "add")
"""Operations that an activation may join."""


@dataclass(frozen=True)
class Pass:
    """One operation, and those that joined it.

    Attributes:
        node: What comes first.
        input: The result it reads.
        output: The result it leaves, of the last that joined.
        other: What is added: an addition's second result, or what a convolution's is added to.
        activation: The activation that joined.
        pool: The pool that joined, which comes last.
    """

    node: Node
    input: str
    output: str
    other: str | None = None
    activation: Node | None = None
    pool: Node | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The results it reads."""
        return (self.input,) if self.other is None else (self.input, self.other)


@dataclass(frozen=True)
class Program:
    """A network's passes in order.

    Attributes:
        graph: The network.
        passes: In an order in which they can run.
        output: The name of the result that is the network's.
        layouts: Of every result, and of INPUT, for one sample.
        fixed: Results that may not be overwritten.
    """

    graph: Graph
    passes: tuple[Pass, ...]
    output: str
    layouts: dict[str, Layout]
    fixed: frozenset[str] = frozenset({INPUT})


def program_of(graph: Graph, tensor_shapes: dict[str, Shape]) -> Program:
    """The passes of a graph.

    Args:
        graph: The network.
        tensor_shapes: Of its weights and biases, by name.
    """
    shapes, frames = graph.shapes(tensor_shapes), frames_of(graph)
    writer = _Writer(graph, frames)
    for node in graph.nodes:
        writer.add(node)
    output = writer.closed()
    layouts = {name: Layout(shape, frames[name]) for name, shape in shapes.items()}
    layouts[FRAMED_INPUT] = layouts[INPUT]
    layouts[BARE_OUTPUT] = Layout(shapes[graph.output])
    layouts[INPUT] = Layout(shapes[INPUT])
    return Program(graph, tuple(writer.made.values()), output, layouts)


class _Writer:
    """Passes by the result they leave, in order."""

    def __init__(self, graph: Graph, frames: Mapping[str, Frame]) -> None:
        self.graph = graph
        self.frames = frames
        self.made: dict[str, Pass] = {}
        self._alias: dict[str, str] = {}
        if frames[INPUT] != NO_FRAME:
            self._alias[INPUT] = self._copy(INPUT, FRAMED_INPUT)

    def same(self, name: str) -> str:
        """The result that lies where another is looked for: a flattened map is the map."""
        return self._alias.get(name, name)

    def add(self, node: Node) -> None:
        """Make a pass of a node, or join it to one."""
        inputs = [self.same(name) for name in node.inputs]
        if node.op == "flatten" and self._is_alias(node, inputs[0]):
            self._alias[node.name] = inputs[0]
        elif (joined := self._joined(node, inputs)) is not None:
            self.made = {one.output: one for one in map(joined, self.made.values())}
        else:
            other = inputs[1] if len(inputs) > 1 else None
            self.made[node.name] = Pass(node, inputs[0], node.name, other)

    def closed(self) -> str:
        """The result that is the network's, without a frame."""
        output = self.same(self.graph.output)
        framed = self.frames[self.graph.output] != NO_FRAME
        return self._copy(output, BARE_OUTPUT) if framed else output

    def _copy(self, source: str, name: str) -> str:
        self.made[name] = Pass(Node(name, COPY, (source,)), source, name)
        return name

    def _is_alias(self, node: Node, source: str) -> bool:
        is_all = source == INPUT and node.name == self.graph.output
        return self.frames[node.inputs[0]] == NO_FRAME and not is_all

    def _joined(self, node: Node, inputs: list[str]) -> Callable[[Pass], Pass] | None:
        """What becomes of every pass if a node joins one of them."""
        order = {name: i for i, name in enumerate(self.made)}
        *others, last = sorted(inputs, key=lambda name: order.get(name, -1))
        one = self._open(last)
        if one is None:
            return None
        op, is_conv = node.op, one.node.op == "conv2d"
        if is_conv and last not in node.inputs:  # it reads the map flattened, not plane by plane
            return None
        if op == "add" and is_conv and one.other is None and one.activation is None:
            grown = replace(one, output=node.name, other=others[0])
        elif op in ACTIVATIONS and one.node.op in ACTIVATED and one.activation is None:
            grown = replace(one, output=node.name, activation=node)
        elif op in POOLS and is_conv:
            grown = replace(one, output=node.name, pool=node)
        else:
            return None
        return lambda each: grown if each is one else each

    def _open(self, name: str) -> Pass | None:
        """The pass that leaves a result, if one more may join it: no pool has, one reader is."""
        one = self.made.get(name)
        readers = [
            node.name
            for node in self.graph.nodes
            for read in node.inputs
            if self.same(read) == name and node.name not in self._alias
        ]
        return one if one is not None and one.pool is None and len(readers) == 1 else None
