"""LAMP: the paper's formula, and never another order within a layer."""

from __future__ import annotations

from fractions import Fraction
from math import inf

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.lamp import lamp
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.threshold import select
from tests.strategies import weights

Layers = list[list[int]]


def by_the_paper(scores: list[int]) -> list[Fraction]:
    """Square by the sum of squares from it upwards, of weights sorted upwards."""
    order = sorted(range(len(scores)), key=lambda at: scores[at])
    found = [Fraction(0)] * len(scores)
    for rank, at in enumerate(order):
        above = sum(scores[other] ** 2 for other in order[rank:])
        found[at] = Fraction(scores[at] ** 2, above) if above else Fraction(0)
    return found


def test_a_layer_by_hand() -> None:
    scores = torch.tensor([3.0, 1.0, 2.0])
    assert torch.allclose(lamp(scores).square(), torch.tensor([1.0, 1 / 14, 4 / 13]))
    assert by_the_paper([3, 1, 2]) == [1, Fraction(1, 14), Fraction(4, 13)]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_it_is_the_root_of_the_papers_score(scores: list[int]) -> None:
    found = lamp(torch.tensor(scores, dtype=torch.float64)).square().tolist()
    assert found == pytest.approx([float(score) for score in by_the_paper(scores)], rel=1e-12)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Layers, Quota]:
    """Numbers so small that unlike LAMP scores differ by more than float32 rounds."""
    layers = draw(st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=8), min_size=1))
    caps = {str(at): draw(st.integers(0, len(part))) for at, part in enumerate(layers)}
    return layers, Quota(draw(st.integers(0, sum(caps.values()))), None, caps, lamp=True)


@given(cases())
def test_a_quota_takes_the_lowest_lamp_scores_of_all_layers(case: tuple[Layers, Quota]) -> None:
    layers, quota = case
    room, wanted = dict(quota.caps), [[False] * len(part) for part in layers]
    ranked = sorted(
        (score, layer, rank)
        for layer, part in enumerate(layers)
        for rank, score in enumerate(sorted(by_the_paper(part)))
    )
    for _, layer, _ in ranked:
        if room[str(layer)] and sum(map(sum, wanted)) < quota.zeros:
            room[str(layer)] -= 1
            left = [at for at, gone in enumerate(wanted[layer]) if not gone]
            wanted[layer][min(left, key=lambda at: layers[layer][at])] = True
    tensors = {str(at): torch.tensor(part, dtype=torch.float32) for at, part in enumerate(layers)}
    found = select({name: lambda t=t: chunks(t) for name, t in tensors.items()}, quota)
    assert [found[name].tolist() for name in tensors] == wanted


@given(weights(infinities=True))
def test_the_order_within_a_layer_stays(scores: torch.Tensor) -> None:
    before = scores.clone()
    found = lamp(scores)
    assert torch.equal(scores, before)
    assert not bool(found.isnan().any())
    assert found.dtype is torch.promote_types(scores.dtype, torch.float32)
    order = scores.argsort(stable=True)
    assert bool((found[order].diff().nan_to_num(0) >= 0).all())
    low = scores < 0
    assert torch.equal(found[low], scores[low].to(found.dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_no_number_is_too_large_or_too_small(dtype: torch.dtype) -> None:
    large, small = torch.finfo(dtype).max, torch.finfo(dtype).tiny
    found = lamp(torch.tensor([large, small, large / 2, 0.0], dtype=dtype))
    assert found[0] == 1
    assert found[2] == pytest.approx(0.2**0.5)
    assert 1 > found[2] > found[1] >= found[3] == 0


def test_what_is_pruned_does_not_count() -> None:
    scores = torch.tensor([3.0, -inf, 1.0, -inf, 2.0])
    left = lamp(scores[[0, 2, 4]])
    assert lamp(scores).tolist() == [left[0], -inf, left[1], -inf, left[2]]


def test_a_scale_of_a_layer_is_no_matter() -> None:
    torch.manual_seed(0)
    layers = {"a": torch.rand(40), "b": torch.rand(60)}
    quota = Quota(50, None, {"a": 40, "b": 60}, lamp=True)
    found = []
    for scale in (1, 64):
        scaled = {**layers, "b": layers["b"] * scale}
        marks = select({name: lambda t=t: chunks(t) for name, t in scaled.items()}, quota)
        found.append({name: mark.tolist() for name, mark in marks.items()})
    assert found[0] == found[1]
    assert 0 < sum(found[0]["a"]) < 40


def test_scores_that_are_all_zero_stay_so() -> None:
    assert lamp(torch.zeros(3)).tolist() == [0, 0, 0]
    assert lamp(torch.tensor([0.0, -inf])).tolist() == [0, -inf]
