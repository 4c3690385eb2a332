"""Laws of n:m: the quota's lowest scores go, of those that their group can spare."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota
from pruneflow.pruning.granularities.nm import NM
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.scope import Layer
from tests.pruning.granularities.slow import Shape, number, read, scored, shapes, units

PATTERNS = [NM(1, 2), NM(2, 4), NM(1, 4), NM(3, 4), NM(2, 3), NM(1, 5)]
Drawn = tuple[NM, list[Shape], list[torch.Tensor]]


def layers_of(some: list[Shape]) -> list[Layer]:
    return [Layer(str(at), ("Linear",), shape) for at, shape in enumerate(some)]


@st.composite
def cases(draw: st.DrawFn) -> Drawn:
    pattern = draw(st.sampled_from(PATTERNS))
    some = draw(st.lists(shapes(wide=pattern.m), min_size=1, max_size=3))
    return pattern, some, draw(scored(some))


def chosen(case: Drawn, quota: Quota) -> list[torch.Tensor]:
    pattern, some, scores = case
    starts = {str(at): partial(chunks, part) for at, part in enumerate(scores)}
    marks = pattern.choose(starts, {str(at): shape for at, shape in enumerate(some)}, quota)
    return [marks[str(at)].view(shape) for at, shape in enumerate(some)]


def room(pattern: NM, shape: Shape) -> int:
    return torch.Size(shape).numel() // pattern.m * (pattern.m - pattern.n)


def by_greed(case: Drawn, quota: Quota) -> list[set[int]]:
    """The m - n lowest of every group are candidates; of those take the lowest, up to the caps."""
    pattern, some, scores = case
    candidates = []
    for at, (shape, part) in enumerate(zip(some, scores, strict=True)):
        for group in units(shape, 1, pattern.m):
            lowest = sorted(group, key=lambda index: float(part[index]))[: pattern.m - pattern.n]
            candidates += [(float(part[index]), at, number(shape, index)) for index in lowest]
    taken: list[set[int]] = [set() for _ in some]
    for _, at, place in sorted(candidates):
        full = len(taken[at]) == quota.caps[str(at)]
        if not full and sum(map(len, taken)) < quota.zeros:
            taken[at].add(place)
    return taken


@given(cases(), st.data())
def test_any_quota_takes_the_lowest_that_groups_can_spare(case: Drawn, data: st.DataObject) -> None:
    pattern, some, _ = case
    caps = {str(at): data.draw(st.integers(0, room(pattern, s))) for at, s in enumerate(some)}
    quota = Quota(data.draw(st.integers(0, sum(caps.values()))), None, caps)
    found = [set(mark.reshape(-1).nonzero().flatten().tolist()) for mark in chosen(case, quota)]
    assert found == by_greed(case, quota)
    assert sum(map(len, found)) == quota.zeros


@given(cases(), st.sampled_from(["global", "lamp", "uniform", "per_layer"]))
def test_the_last_quota_leaves_just_n_of_every_group(case: Drawn, allocation: str) -> None:
    pattern, some, scores = case
    quota = pattern.quota(ALLOCATIONS[allocation], layers_of(some), pattern.sparsity, Guard(1.0, 0))
    for shape, mark, part in zip(some, chosen(case, quota), scores, strict=True):
        for group in units(shape, 1, pattern.m):
            gone = [index for index in group if mark[index]]
            left = [index for index in group if not mark[index]]
            assert len(left) == pattern.n
            assert max(float(part[i]) for i in gone) <= min(float(part[i]) for i in left)


@settings(max_examples=25)
@given(cases(), st.data())
def test_what_is_pruned_is_never_spared(case: Drawn, data: st.DataObject) -> None:
    pattern, some, scores = case
    before = [torch.zeros(shape, dtype=torch.bool) for shape in some]
    zeros = 0
    for _ in range(3):
        for part, mark in zip(scores, before, strict=True):
            part.copy_(data.draw(scored([tuple(part.shape)]))[0]).masked_fill_(mark, -torch.inf)
        most = {str(at): room(pattern, shape) for at, shape in enumerate(some)}
        zeros = data.draw(st.integers(zeros, sum(most.values())))
        marks = chosen(case, Quota(zeros, None, most))
        assert all(bool((old <= new).all()) for old, new in zip(before, marks, strict=True))
        before = marks


def test_a_group_with_too_many_zeros_keeps_them() -> None:
    scores = torch.tensor([[-torch.inf] * 3 + [1.0] + [2.0, 3.0, 4.0, 5.0]])
    (mark,) = chosen((NM(2, 4), [(1, 8)], [scores]), Quota.fixed({"0": 4}))
    assert mark.tolist() == [[True, True, True, False, True, False, False, False]]


def test_infinite_scores_go_where_the_quota_needs_them_all() -> None:
    scores = torch.full((2, 4), torch.inf)
    (mark,) = chosen((NM(1, 4), [(2, 4)], [scores]), Quota.fixed({"0": 6}))
    assert mark.tolist() == [[True, True, True, False]] * 2


def test_neighbours_of_a_convolution_are_channels_of_one_place_in_the_window() -> None:
    weight = torch.ones(1, 4, 1, 2)
    weight[0, 1:3, 0, 0] = weight[0, 2:, 0, 1] = 9
    (mark,) = chosen((NM(2, 4), [(1, 4, 1, 2)], [weight]), Quota.fixed({"0": 4}))
    assert torch.equal(mark, weight == 1)


def test_a_quota_has_a_cap_of_what_groups_can_spare() -> None:
    layers = layers_of([(2, 8), (3, 4, 5)])
    quota = NM(2, 4).quota(ALLOCATIONS["global"], layers, 0.25, Guard())
    assert quota == Quota(19, None, {"0": 8, "1": 30})


def test_what_has_no_room_is_refused() -> None:
    layers = layers_of([(2, 8), (200, 8)])
    with pytest.raises(ValueError, match=r"2:4 needs 808 zeros, but with the guard.*806"):
        NM(2, 4).quota(ALLOCATIONS["global"], layers, 0.5, Guard(1.0, 10))

    with pytest.raises(ValueError, match="asks for 808 zeros in '1', where 2:4 has room for 800"):
        NM(2, 4).quota(ALLOCATIONS["erk"], layers, 0.5, Guard())


@pytest.mark.parametrize(
    ("earlier", "later", "can"),
    [
        ("2:4", "2:4", True),
        ("2:4", "1:4", True),
        ("1:4", "2:4", False),
        ("4:8", "2:4", False),
        ("unstructured", "2:4", False),
        ({"block": [1, 2]}, "2:4", False),
        ("2:4", {"block": [1, 2]}, False),
        ({"block": [4, 4]}, {"block": [4, 4]}, True),
        ({"block": [4, 4]}, {"block": [2, 2]}, False),
        ("filter", "filter", True),
        ("unstructured", "filter", False),
        ("filter", {"block": [1, 2]}, False),
        ("filter", "unstructured", True),
        ("2:4", "unstructured", True),
    ],
)
def test_what_may_follow_what(earlier: object, later: object, can: bool) -> None:
    assert read(later).continues(read(earlier)) is can
