"""Laws of filters: whole ones go, those with the lowest sums first, and no layer dies."""

from __future__ import annotations

from functools import partial
from math import gcd, prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota
from pruneflow.pruning.granularities.block import Block
from pruneflow.pruning.granularities.filter import Filter
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.scope import Layer
from tests.pruning.granularities.slow import Shape, scored, shapes
from tests.strategies import sparsities

Drawn = tuple[list[Shape], list[torch.Tensor]]


def layers_of(some: list[Shape]) -> list[Layer]:
    return [Layer(str(at), ("Conv2d",), shape) for at, shape in enumerate(some)]


@st.composite
def cases(draw: st.DrawFn) -> Drawn:
    some = draw(st.lists(shapes(), min_size=1, max_size=3))
    # Whole numbers, so that a sum is the same in any order.
    return some, [part.clamp(max=50).round() for part in draw(scored(some))]


def chosen(case: Drawn, quota: Quota) -> list[torch.Tensor]:
    some, scores = case
    starts = {str(at): partial(chunks, part) for at, part in enumerate(scores)}
    marks = Filter().choose(starts, {str(at): shape for at, shape in enumerate(some)}, quota)
    return [marks[str(at)].view(shape) for at, shape in enumerate(some)]


@given(cases(), st.data())
def test_any_share_takes_the_filters_of_the_lowest_sums(case: Drawn, data: st.DataObject) -> None:
    some, scores = case
    counts = [data.draw(st.integers(0, shape[0])) for shape in some]
    zeros = [count * prod(shape[1:]) for count, shape in zip(counts, some, strict=True)]
    marks = chosen(case, Quota.fixed({str(at): each for at, each in enumerate(zeros)}))
    for count, mark, part in zip(counts, marks, scores, strict=True):
        ranked = sorted(range(len(part)), key=lambda row: float(part[row].double().sum()))
        wanted = torch.zeros_like(mark)
        wanted[ranked[:count]] = True
        assert torch.equal(mark, wanted)


def test_magnitude_is_the_l1_norm_of_a_filter() -> None:
    weight = torch.tensor([[[[4.0]], [[0.0]]], [[[-2.0]], [[1.0]]], [[[2.5]], [[-1.0]]]])
    (mark,) = chosen(([(3, 2, 1, 1)], [weight.abs()]), Quota.fixed({"0": 4}))
    assert mark.flatten(1).all(1).tolist() == [False, True, True]


@given(cases(), sparsities(), st.sampled_from(["uniform", "per_layer", "erk"]))
def test_sparsity_is_rounded_to_whole_filters(
    case: Drawn, sparsity: float, allocation: str
) -> None:
    some, _ = case
    quota = Filter().quota(ALLOCATIONS[allocation], layers_of(some), sparsity, Guard(1.0, 0))
    assert quota.layers is not None
    fans = [prod(shape[1:]) for shape in some]
    assert all(z % fan == 0 for z, fan in zip(quota.layers.values(), fans, strict=True))
    if allocation == "erk":
        whole = sum(map(prod, some))
        assert abs(quota.zeros - sparsity * whole) <= max(fans) / 2 + gcd(*fans) / 2 + 1e-9
    else:
        for zeros, shape in zip(quota.layers.values(), some, strict=True):
            assert abs(zeros - sparsity * prod(shape)) <= prod(shape[1:]) / 2 + 1e-9


@pytest.mark.parametrize("allocation", ["global", "lamp"])
def test_one_threshold_needs_filters_of_one_size(allocation: str) -> None:
    unlike = layers_of([(4, 3, 3, 3), (8, 4, 3, 3), (2, 27)])
    with pytest.raises(ValueError, match=r"\(27 weights in '0', 36 weights in '1'\).*'uniform'"):
        Filter().quota(ALLOCATIONS[allocation], unlike, 0.5, Guard())
    like = Filter().quota(ALLOCATIONS[allocation], unlike[::2], 0.5, Guard())
    assert like == Quota(3 * 27, None, {"0": 3 * 27, "2": 27}, lamp=allocation == "lamp")


def test_the_guard_counts_weights_and_keeps_whole_filters() -> None:
    layers = layers_of([(8, 10), (80, 10)])
    caps = Filter().quota(ALLOCATIONS["global"], layers, 0.5, Guard(1.0, 17)).caps
    assert caps == {"0": 60, "1": 780}  # for 17 weights two filters are kept
    caps = Filter().quota(ALLOCATIONS["global"], layers, 0.5, Guard(0.6, 0)).caps
    assert caps == {"0": 40, "1": 480}
    with pytest.raises(ValueError, match=r"counting each of the filters as one weight, .*0 of 8"):
        Filter().quota(ALLOCATIONS["uniform"], layers, 0.97, Guard())


def test_erk_counts_filters_by_their_weights() -> None:
    layers = layers_of([(8, 10), (80, 20)])  # 840 are left: the first is dense, 38 filters of 20
    assert Filter().quota(ALLOCATIONS["erk"], layers, 0.5, Guard()).layers == {"0": 0, "1": 840}
    held = Filter().quota(ALLOCATIONS["erk"], layers, 0.5, Guard(0.5))
    assert held.layers == {"0": 40, "1": 800}


def test_whole_rows_as_blocks_have_the_guard_of_filters() -> None:
    layers = layers_of([(8, 16), (80, 16)])
    both = [
        it.quota(ALLOCATIONS["global"], layers, 0.5, Guard()) for it in (Filter(), Block(1, 16))
    ]
    assert both[0] == both[1] == Quota(44 * 16, None, {"0": 7 * 16, "1": 79 * 16})
