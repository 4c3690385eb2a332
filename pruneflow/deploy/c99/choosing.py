"""The unit of a network: every weight in the layout that its goal asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import inf

from pruneflow.deploy.bundles.packing import Packed
from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.program import program_of
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.c99.weights import LAYOUTS, Stored, coded, refuses, stored
from pruneflow.deploy.network import Network
from pruneflow.errors import DeployError


@dataclass(frozen=True)
class Costs:
    """What is to be little.

    Attributes:
        of: The cost of a stored weight.
        function: The cost of having a layout at all.
    """

    of: Callable[[Stored], float]
    function: float = 0


def _instructions(dense: float, csr16: float, gaps8: float) -> Costs:
    each = {"dense": dense, "csr16": csr16, "gaps8": gaps8}
    return Costs(lambda one: each[one.layout] * one.entries.size)


def _bytes(one: Stored) -> float:
    return sum(one.bytes.values())


INSTRUCTIONS = {"linear": _instructions(1, 1.3, 1.8), "conv2d": _instructions(1, 1, 1.2)}
"""For a stored weight, those for one of a dense layer being 1 (Cortex-M4)."""
BYTES = {"linear": Costs(_bytes, 100), "conv2d": Costs(_bytes, 250)}
"""Of flash; a function that reads a layout takes about as many."""


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
    layers = [node for node in network.graph.nodes if node.weight is not None]
    options: dict[str, dict[str, Stored]] = {}
    for node in layers:
        assert node.weight is not None
        places = windows.places(node, shapes[node.weight], sources[node.name])
        able = [kind for kind in LAYOUTS if not refuses(kind, places)]
        weight = coded(packed[node.weight])
        wanted = [layout] if layout in able else able
        options[node.name] = {kind: stored(weight, kind, places) for kind in wanted}
    chosen: dict[str, Stored] = {}
    for op, costs in (INSTRUCTIONS if goal == "latency" else BYTES).items():
        names = [node.name for node in layers if node.op == op]
        chosen |= _cheapest({name: options[name] for name in names}, costs)
    weights = {node.name: chosen[node.name] for node in layers}
    biases = {node.name: network.tensors[node.bias].numpy() for node in layers if node.bias}
    return Unit(name, program, weights, {n.name: shapes[n.weight or ""] for n in layers}, biases)


def _cheapest(options: Mapping[str, Mapping[str, Stored]], costs: Costs) -> dict[str, Stored]:
    """The stored weights that cost least together, the functions that read them included.

    Args:
        options: Layers of one operation, and how each can be stored.
        costs: What an entry and a function cost.
    """
    best: tuple[float, dict[str, Stored]] = inf, {}
    for count in range(1, len(LAYOUTS) + 1):
        for layouts in combinations(LAYOUTS, count):
            able = [
                {kind: one[kind] for kind in layouts if kind in one} for one in options.values()
            ]
            if not all(able):
                continue
            chosen = [min(each.values(), key=costs.of) for each in able]
            used = {one.layout for one in chosen}
            cost = sum(map(costs.of, chosen)) + costs.function * len(used)
            best = min(
                best, (cost, dict(zip(options, chosen, strict=True))), key=lambda one: one[0]
            )
    return best[1]
