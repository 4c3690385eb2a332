"""Networks whose results are bytes, for tests: drawn ones, and what their C code has to give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st

from pruneflow.deploy.bundles.packing import unpack
from pruneflow.deploy.c99.quantized.exporting import integer_reference
from pruneflow.deploy.c99.quantized.quantities import Range
from pruneflow.deploy.c99.quantized.ranges import ranges_of
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit, quantized
from pruneflow.deploy.c99.weights import LAYOUTS
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.measure.gate import Reference
from tests.deploy.c99.code import Case, tangles
from tests.deploy.networks import Network, networks


@dataclass(frozen=True)
class IntegerCase(Case):
    """A network, how its weights are stored, and what ranges are calibrated with.

    Attributes:
        inputs: Batches to calibrate with; None: one of the network's own.
    """

    values: str = "int8"
    inputs: tuple[torch.Tensor, ...] | None = None

    @property
    def stored(self) -> dict[str, torch.Tensor]:
        """Its tensors, the weights as int8 has them."""
        return {**self.network.tensors, **{name: unpack(one) for name, one in self.packed.items()}}

    @property
    def ranges(self) -> dict[str, Range]:
        """Of all results."""
        inputs = (self.network.inputs(4, seed=1),) if self.inputs is None else self.inputs
        return ranges_of(self.network.graph, self.stored, inputs)

    def unit(self, name: str = "net") -> QuantizedUnit:
        """The network as a unit of C."""
        return quantized(super().unit(name), self.ranges)

    def right(self, inputs: torch.Tensor) -> Reference:
        """What has to come out: bits, but for a rounding."""
        return integer_reference(self.unit(), super().right(inputs))


@st.composite
def integer_cases(draw: st.DrawFn, most_nodes: int = 6) -> IntegerCase:
    """Drawn networks in every layout."""
    drawn = written_for_integers(draw(networks(most_nodes, softmax=False) | tangles()))
    drawn = with_softmax(drawn) if draw(st.booleans()) else drawn
    return IntegerCase(drawn, draw(st.sampled_from(LAYOUTS)))


def written_for_integers(network: Network) -> Network:
    """The same with relu in the stead of leaky_relu."""
    graph = network.graph
    nodes = tuple(
        replace(node, op="relu", options={}) if node.op == "leaky_relu" else node
        for node in graph.nodes
    )
    return Network(replace(graph, nodes=nodes), network.tensors)


def with_softmax(network: Network) -> Network:
    """The same with a softmax at its end, if it is a vector that comes out."""
    graph = network.graph
    if len(graph.shapes(network.shapes())[graph.output]) > 1:
        return network
    last = Node("last", "softmax", (graph.output,))
    return Network(Graph(graph.input_shape, (*graph.nodes, last), "last"), network.tensors)
