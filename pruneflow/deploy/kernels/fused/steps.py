"""Which passes over the data a graph needs: a node, and what is done to its result on the way out.

A step computes ``after(other + halved(before(node(source))))``, every part of it optional: a
convolution, its activation, a pool of 2 x 2, a residual addition and the activation of the sum are
one step where nothing else reads what lies between. Flattenings take no step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import ACTIVATIONS, Shape


@dataclass
class Step:
    """A pass over the data.

    Attributes:
        source: The name of the result that it reads.
        output: The name of its own result.
        sides: Channels, height and width of its result; those of a vector are (features, 1, 1).
        node: A layer or a pool; None: the source as it is.
        before: The activation of the node's result.
        halved: The max pool of 2 x 2 that follows it.
        other: The name of the result that is added.
        after: The last activation.
    """

    source: str
    output: str
    sides: Shape
    node: Node | None = None
    before: Node | None = None
    halved: Node | None = None
    other: str | None = None
    after: Node | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all results that it reads."""
        return (self.source,) if self.other is None else (self.source, self.other)

    def takes_activation(self, node: Node) -> bool:
        """Append an activation, if there is room for it."""
        if (self.before, self.halved, self.other, self.after) == (None,) * 4:
            self.before = node
            return True
        if self.after is None:
            self.after = node
            return True
        return False

    def takes_pool(self, node: Node, sides: Shape) -> bool:
        """Append a pool to a convolution, if its windows are 2 x 2, apart, and inside."""
        fits = (
            self.node is not None
            and self.node.op == "conv2d"
            and (self.halved, self.other, self.after) == (None,) * 3
            and node.options["kernel"] == node.options["stride"] == [2, 2]
            and node.options["padding"] == [0, 0]
            and node.options["dilation"] == [1, 1]
            and all(2 * out <= side for out, side in zip(sides[1:], self.sides[1:], strict=True))
        )
        if fits:
            self.halved, self.sides = node, sides
        return fits

    def takes_other(self, name: str) -> bool:
        """Append an addition, if there is room for it."""
        if self.other is not None or self.after is not None:
            return False
        self.other = name
        return True


class Steps:
    """The steps of a graph, in an order in which they can run.

    Args:
        graph: The network.
        tensor_shapes: Of its weights and biases.

    Attributes:
        steps: The last one's result is the network's.
        sides: Channels, height and width of every result of a step, and of INPUT.
    """

    def __init__(self, graph: Graph, tensor_shapes: Mapping[str, Shape]) -> None:
        self.steps: list[Step] = []
        self.sides = {INPUT: _sides(graph.input_shape)}
        shapes = graph.shapes(tensor_shapes)
        alias = {INPUT: INPUT}
        for node in graph.nodes:
            alias[node.name] = alias[node.inputs[0]] if node.op == "flatten" else node.name
        nodes = [node for node in graph.nodes if node.op != "flatten"]
        self._inputs = {node.name: [alias[name] for name in node.inputs] for node in nodes}
        self._readers = Counter(name for read in self._inputs.values() for name in set(read))
        for node in nodes:
            sides = _sides(shapes[node.name])
            step = self._joined(node, sides) or self._begun(node, sides)
            step.output = node.name
            self.sides[node.name] = step.sides
        if alias[graph.output] == INPUT:
            self.sides[graph.output] = self.sides[INPUT]
            self.steps.append(Step(INPUT, graph.output, self.sides[INPUT]))

    def _joined(self, node: Node, sides: Shape) -> Step | None:
        """The step before a node, if the node became a part of it."""
        inputs = self._inputs[node.name]
        if node.op == "add":
            for own, other in (inputs, inputs[::-1]):
                step = self._only_for(own)
                if step is not None and self._is_earlier(other, step) and step.takes_other(other):
                    return step
            return None
        step = self._only_for(inputs[0])
        if step is None:
            return None
        if node.op in ACTIVATIONS:
            return step if step.takes_activation(node) else None
        return step if node.op == "max_pool2d" and step.takes_pool(node, sides) else None

    def _begun(self, node: Node, sides: Shape) -> Step:
        """A step of its own for a node."""
        source, *others = self._inputs[node.name]
        if others:
            step = Step(source, node.name, self.sides[source], other=others[0])
        elif node.op in ACTIVATIONS:
            step = Step(source, node.name, self.sides[source], before=node)
        else:
            step = Step(source, node.name, sides, node)
        self.steps.append(step)
        return step

    def _only_for(self, name: str) -> Step | None:
        """The step that makes a result which one node alone reads."""
        made = next((step for step in self.steps if step.output == name), None)
        return made if self._readers[name] == 1 else None

    def _is_earlier(self, name: str, step: Step) -> bool:
        """Whether a result is there before a step runs, with sides like those of its own."""
        before = [INPUT, *(each.output for each in self.steps[: self.steps.index(step)])]
        return name in before and self.sides[name] == step.sides


def _sides(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (prod(shape), 1, 1)
