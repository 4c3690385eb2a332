"""Layouts are chosen so that all of it is least: weights, and the functions that read them."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.bundles.packing import pack
from pruneflow.deploy.c99.choosing import BYTES, INSTRUCTIONS, unit_of
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.c99.weights import LAYOUTS
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.network import Network, of_graph

SIZES = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([0, 0.5, 0.9, 1])), min_size=1, max_size=3
)


def perceptron(layers: list[tuple[int, float]]) -> Network:
    """Linear layers of these sizes, pruned at random."""
    generator = torch.Generator().manual_seed(0)
    nodes: list[Node] = []
    tensors, inputs, before = {}, 30, INPUT
    for i, (outputs, sparsity) in enumerate(layers):
        keep = torch.rand(outputs, inputs, generator=generator) >= sparsity
        tensors[f"w{i}"] = torch.randn(outputs, inputs, generator=generator) * keep
        nodes.append(Node(f"layer{i}", "linear", (before,), f"w{i}"))
        inputs, before = outputs, f"layer{i}"
    return of_graph(Graph((30,), tuple(nodes), before), tensors)


def written(network: Network, goal: str, values: str, layout: str | None = None) -> Unit:
    packed = {
        name: pack(name, network.tensors[name], None, "dense", values) for name in network.weights
    }
    return unit_of("net", network, packed, goal, layout)


@pytest.mark.parametrize("values", ["fp32", "int8"])
@pytest.mark.parametrize("goal", ["latency", "size"])
@given(layers=SIZES)
@settings(max_examples=30)
def test_no_other_layouts_cost_less(
    goal: str, values: str, layers: list[tuple[int, float]]
) -> None:
    network = perceptron(layers)
    costs = (INSTRUCTIONS if goal == "latency" else BYTES)["linear"]
    options = {kind: written(network, goal, values, kind).weights for kind in LAYOUTS}
    names = list(options["dense"])

    def cost(kinds: tuple[str, ...]) -> float:
        pairs = zip(names, kinds, strict=True)
        each = sum(costs.of(options[kind][name]) for name, kind in pairs)
        return each + costs.function * len(set(kinds))

    weights = written(network, goal, values).weights
    assert list(weights) == names
    chosen = tuple(weights[name].layout for name in names)
    assert cost(chosen) == min(map(cost, product(LAYOUTS, repeat=len(names))))


def test_a_small_layer_gets_no_function_of_its_own() -> None:
    network = perceptron([(200, 0.9), (10, 0.5)])
    alone = written(perceptron([(10, 0.0)]), "size", "int8").weights
    assert [one.layout for one in alone.values()] == ["dense"]
    both = written(network, "size", "int8").weights
    assert [one.layout for one in both.values()] == ["gaps8", "gaps8"]
