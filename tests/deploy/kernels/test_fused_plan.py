"""How a network is laid out for one launch: its steps, its memory, its weights, its tiles."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.kernels.fused.launching import configs
from pruneflow.deploy.kernels.fused.packing import rectangles
from pruneflow.deploy.kernels.fused.places import OUTSIDE, Map, Places
from pruneflow.deploy.kernels.fused.plan import Plan, Planner
from pruneflow.deploy.kernels.fused.steps import Steps
from pruneflow.deploy.kernels.fused.tiles import program
from pruneflow.deploy.network import of_module
from tests.deploy.networks import KNOWN, Network, networks, prune_

WINDOW = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
HALVES = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "dilation": [1, 1]}


def known(name: str) -> Network:
    make, shape = KNOWN[name]
    network = of_module(prune_(make(), 0.95), torch.randn(2, *shape))
    assert network.graph is not None
    return Network(network.graph, dict(network.tensors))


def places_of(network: Network) -> Places:
    return Places(Steps(network.graph, network.shapes()))


# -- steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "phases"), [("lenet5", 4), ("lenet_300_100", 3), ("mlp", 3), ("small_resnet", 9)]
)
def test_known_networks_take_few_phases(name: str, phases: int) -> None:
    network = known(name)
    assert len(Planner(network.graph, network.tensors).plan.phases()) == phases


def test_all_that_follows_a_convolution_is_one_step() -> None:
    pool = {**HALVES, "ceil_mode": False}
    nodes = (
        Node("conv", "conv2d", (INPUT,), "w", None, WINDOW),
        Node("act", "relu", ("conv",)),
        Node("pool", "max_pool2d", ("act",), options=pool),
        Node("small", "max_pool2d", (INPUT,), options=pool),
        Node("sum", "add", ("small", "pool")),
        Node("flat", "flatten", ("sum",)),
        Node("last", "relu6", ("flat",)),
    )
    graph = Graph((1, 4, 4), nodes, "last")
    both = Steps(graph, {"w": (1, 1, 1, 1)}).steps
    assert [step.output for step in both] == ["pool", "last"]
    assert both[1].inputs == (INPUT, "pool")  # the pool was made before: the other one adds it
    nodes = (nodes[3], *nodes[:3], *nodes[4:])
    joined = Steps(Graph((1, 4, 4), nodes, "last"), {"w": (1, 1, 1, 1)}).steps[1]
    assert joined.inputs == (INPUT, "small")
    named = (joined.node, joined.before, joined.halved, joined.after)
    assert [node and node.name for node in named] == ["conv", "act", "pool", "last"]


def test_what_is_read_twice_is_kept() -> None:
    nodes = (
        Node("fc", "linear", (INPUT,), "w"),
        Node("act", "relu", ("fc",)),
        Node("sum", "add", ("fc", "act")),
        Node("twice", "add", ("sum", "sum")),
    )
    steps = Steps(Graph((4,), nodes, "twice"), {"w": (4, 4)}).steps
    assert [(step.output, step.inputs) for step in steps] == [
        ("fc", (INPUT,)), ("sum", ("fc", "fc")), ("twice", ("sum", "sum")),
    ]  # fmt: skip


# -- memory --------------------------------------------------------------------------------


def extent(where: Map) -> range:
    return range(where.start, where.start + where.size)


def meet(a: range, b: range) -> bool:
    return max(a.start, b.start) < min(a.stop, b.stop)


@given(networks(most_nodes=10, softmax=False))
@settings(max_examples=150)
def test_nothing_is_overwritten_that_is_still_read(network: Network) -> None:
    places = places_of(network)
    phases = dict(zip((step.output for step in places.steps), places.phases, strict=True))
    assert all(a <= b for a, b in pairwise(places.phases))
    kept = {name: where for name, where in places.maps.items() if where.start != OUTSIDE}
    assert all(extent(where).stop <= places.arena for where in kept.values())
    for step in places.steps[:-1]:
        own = kept[step.output]
        read = [phases[each.output] for each in places.steps if step.output in each.inputs]
        read = [phase for phase in read if step.source != step.output or phase > phases[INPUT]]
        assert min(read) > phases[step.output]
        for name, other in kept.items():
            if name != step.output and phases[step.output] <= phases[name] <= max(read):
                assert not meet(extent(own), extent(other)), (step.output, name)


@given(networks(softmax=False))
def test_convolutions_find_room_for_their_padding(network: Network) -> None:
    places = places_of(network)
    for step in places.steps:
        if step.node is not None and step.node.op == "conv2d":
            border, padding = places.maps[step.source].border, step.node.options["padding"]
            assert isinstance(padding, list)
            assert all(wide >= pad for wide, pad in zip(border, padding, strict=True))
    assert places.maps[places.steps[-1].output].start == OUTSIDE


# -- weights -------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 90), st.data())
def test_rectangles_hold_every_weight_once(
    seed: int, rows: int, columns: int, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(seed)
    density = torch.rand(rows, 1, generator=generator) ** data.draw(st.sampled_from([1, 8]))
    keep = torch.rand(rows, columns, generator=generator) < density
    weight = torch.where(keep, torch.randn(rows, columns, generator=generator), 0.0)
    unit, positions = data.draw(st.sampled_from([8, 16])), data.draw(st.sampled_from([1, 500]))
    found = rectangles(weight, torch.arange(columns), unit, positions)
    again = torch.zeros_like(weight)
    for each in found:
        again[each.rows] += torch.zeros(len(each.rows), columns).scatter_add_(
            1, each.places, each.values
        )
        used = weight[each.rows].gather(1, each.places) != 0
        assert used.all()  # padding reads what the row reads anyway
    assert torch.equal(again, weight)
    assert sorted(torch.cat([each.rows for each in found]).tolist()) == list(range(rows))
    assert len(found) <= 5


# -- tiles ---------------------------------------------------------------------------------


@given(networks(softmax=False), st.integers(1, 9), st.sampled_from([32, 128, 512]))
def test_programs_share_all_tiles(network: Network, programs: int, threads: int) -> None:
    plan = Planner(network.graph, network.tensors).plan
    found = program(plan, programs, threads)
    assert found["KINDS"][0] == (found["KINDS"][0][0], False)
    written: Counter[int] = Counter()
    for (kind, _, numbers, _), (shift, block, lanes) in zip(
        plan.pieces, found["TILES"], strict=True
    ):
        assert 0 <= shift < programs
        assert block & (block - 1) == lanes & (lanes - 1) == 0
        if kind == "gather":
            assert numbers[9] % lanes == 0
            written[numbers[8]] += numbers[11]
    weights = [tensor for name, tensor in network.tensors.items() if name.endswith("weight")]
    assert sum(written.values()) == sum(len(weight) for weight in weights)


@given(networks(softmax=False))
def test_a_plan_survives_as_text(network: Network) -> None:
    plan = Planner(network.graph, network.tensors).plan
    assert Plan.from_json(plan.to_json()) == plan
    assert plan.output == network.graph.shapes(network.shapes())[network.graph.output]
    ends = [number for phase in plan.phases() for number in phase]
    assert ends[0] == 0
    assert ends[-1] == len(plan.pieces)
    assert ends[1:-1:2] == ends[2::2]


def test_programs_that_wait_for_each_other_fit_the_gpu() -> None:
    network = known("lenet5")
    plan = Planner(network.graph, network.tensors).plan
    for batch in (1, 4, 8, 64, 2048):
        found = [dict(config) for config in configs(plan, batch, 132)]
        waiting = [each["PROGRAMS"] for each in found if not each["SPLIT"] and each["PROGRAMS"] > 1]
        assert all(programs * batch <= 132 for programs in waiting)
        assert len({tuple(sorted(each.items())) for each in found}) == len(found)
    assert prod(plan.output) == 10
