"""Results that are alive together have memory of their own, and little of it is wasted."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.graphs.memory import Tenant, place
from pruneflow.deploy.native.assemble import UNIT, Layout
from tests.deploy.native.kernels import meshes
from tests.deploy.networks import Network, networks

Tenants = dict[str, Tenant]


@st.composite
def tenants(draw: st.DrawFn) -> Tenants:
    """Up to a dozen results of any sizes, nothing included."""
    drawn = {}
    for i in range(draw(st.integers(0, 12))):
        first = draw(st.integers(-1, 12))
        drawn[f"r{i}"] = Tenant(draw(st.integers(0, 60)), first, first + draw(st.integers(0, 6)))
    return drawn


def taken(size: int, unit: int) -> int:
    return -(-size // unit) * unit


@given(tenants(), st.sampled_from([1, 2, 16]))
@settings(max_examples=400)
def test_whoever_is_alive_together_does_not_overlap(residents: Tenants, unit: int) -> None:
    offsets, total = place(residents, unit)
    assert offsets.keys() == residents.keys()
    for name, tenant in residents.items():
        assert offsets[name] >= 0
        assert offsets[name] % unit == 0
        assert offsets[name] + tenant.size <= total
    for a, b in combinations(residents, 2):
        if residents[a].meets(residents[b]) and residents[a].size and residents[b].size:
            ends = offsets[a] + residents[a].size, offsets[b] + residents[b].size
            assert ends[0] <= offsets[b] or ends[1] <= offsets[a]


@given(tenants(), st.sampled_from([1, 16]))
def test_the_memory_lies_between_the_peak_and_the_sum(residents: Tenants, unit: int) -> None:
    _, total = place(residents, unit)
    peak = max(
        (
            sum(each.size for each in residents.values() if each.first <= at <= each.last)
            for at in range(-1, 20)
        ),
        default=0,
    )
    assert peak <= total <= sum(taken(each.size, unit) for each in residents.values())


@given(tenants())
def test_neighbours_that_never_meet_share(residents: Tenants) -> None:
    apart = {name: Tenant(each.size, i, i) for i, (name, each) in enumerate(residents.items())}
    offsets, total = place(apart, 16)
    assert set(offsets.values()) <= {0}
    assert total == max((each.size for each in residents.values()), default=0)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=12))
def test_a_chain_takes_its_two_largest_neighbours(sizes: list[int]) -> None:
    chain = {f"r{i}": Tenant(size, i, i + 1) for i, size in enumerate(sizes)}
    _, total = place(chain)
    pairs = max(a + b for a, b in pairwise(sizes))
    assert pairs <= total <= 1.5 * pairs


@given(networks(most_nodes=8) | meshes())
@settings(max_examples=150)
def test_a_step_writes_over_nothing_that_is_read_later(network: Network) -> None:
    """Running the steps on a list of who wrote each place, every reader finds what it needs."""
    layout = Layout(network.graph, network.shapes())
    writers: dict[tuple[str, int], str] = {}

    def places(name: str) -> set[tuple[str, int]]:
        if layout.is_map(name):
            where = layout.maps[name]
            size = where.channels * where.plane
            return {("map", i) for i in range(where.offset, where.offset + size)}
        shape, row = layout.shapes[name], layout.rows[name]
        size = 1
        for side in shape:
            size *= side
        return {("row", i) for i in range(row, row + taken(size, UNIT))}

    def write(name: str, where: set[tuple[str, int]]) -> None:
        writers.update(dict.fromkeys(where, name))

    write("input", places("input"))
    for step in layout.steps:
        if (phases := layout.phases.get(step.node.name)) is not None:
            size = phases.channels * phases.plane
            write("phases", {("map", i) for i in range(phases.offset, phases.offset + size)})
        for name in step.inputs:
            assert {writers[place] for place in places(name)} == {name}
            assert not places(name) & places(step.output)
        write(step.output, places(step.output))
    assert {writers[place] for place in places(layout.output)} == {layout.output}
    assert all(at < layout.map_floats for kind, at in writers if kind == "map")
    assert all(at < layout.matrix_rows for kind, at in writers if kind == "row")
