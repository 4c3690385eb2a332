"""The unit of a network: every weight in the layout that its goal asks for."""

from __future__ import annotations

from collections.abc import Mapping

from pruneflow.deploy.bundles.packing import Packed
from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.program import program_of
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.c99.weights import LAYOUTS, Stored, coded, refuses, stored
from pruneflow.deploy.graphs.graph import Node
from pruneflow.deploy.network import Network
from pruneflow.errors import DeployError

COSTS: Mapping[str, Mapping[str, float]] = {
    "linear": {"dense": 1.0, "csr16": 1.3, "gaps8": 1.8},
    "conv2d": {"dense": 1.0, "csr16": 1.0, "gaps8": 1.2},
}
"""Instructions for a stored weight, those for one of a dense layer being 1 (Cortex-M4)."""


def unit_of(
    name: str,
    network: Network,
    packed: Mapping[str, Packed],
    goal: str,
    layout: str | None = None,
) -> Unit:
    """A network as it is written in C.

    Args:
        name: An identifier.
        network: A graph.
        packed: Its weights, by name, as the bundle holds them.
        goal: ``latency`` takes the layout with the fewest instructions, others that with the
            fewest bytes.
        layout: One for all layers instead, where it can hold them.

    Raises:
        DeployError: It is no graph, or its values cannot be read.
    """
    if network.graph is None:
        raise DeployError(f"deploy.target=c99: {network.opaque}")
    shapes = {name: tuple(tensor.shape) for name, tensor in network.tensors.items()}
    program = program_of(network.graph, shapes)
    sources = {one.node.name: program.layouts[one.input] for one in program.passes}
    weights: dict[str, Stored] = {}
    layers = [node for node in network.graph.nodes if node.weight is not None]
    for node in layers:
        assert node.weight is not None
        places = windows.places(node, shapes[node.weight], sources[node.name])
        able = [kind for kind in LAYOUTS if not refuses(kind, places)]
        weight = coded(packed[node.weight])
        wanted = [layout] if layout in able else able
        made = [stored(weight, kind, places) for kind in wanted]
        weights[node.name] = min(made, key=lambda one: _cost(node, one, goal))
    biases = {node.name: network.tensors[node.bias].numpy() for node in layers if node.bias}
    return Unit(name, program, weights, {n.name: shapes[n.weight or ""] for n in layers}, biases)


def _cost(node: Node, one: Stored, goal: str) -> float:
    if goal == "latency":
        return COSTS[node.op][one.layout] * one.entries.size
    return sum(one.bytes.values())
