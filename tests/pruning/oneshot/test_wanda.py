"""Wanda: its score by hand, the same number of every row, inputs from pruned layers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities.block import Block
from pruneflow.pruning.granularities.nm import NM
from pruneflow.pruning.oneshot.wanda import Wanda, lowest_of_rows, row_counts, wanda_scores
from pruneflow.pruning.scope import Layer, find_layers
from tests.pruning.oneshot.subjects import Batches, carry_out, perceptron


def test_the_score_is_weight_times_the_norm_of_its_input() -> None:
    weight = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    inputs = torch.tensor([[3.0, 1.0], [4.0, 0.0]])  # norms 5 and 1
    norms = inputs.double().square().sum(0).sqrt()[None]
    assert wanda_scores(weight, norms).tolist() == [[5, 2], [15, 0.5]]


def test_of_a_grouped_convolution_every_group_has_its_own_norms() -> None:
    weight = torch.ones(2, 2, 1, 2)  # two groups; columns: both channels left, both right
    norms = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    scores = wanda_scores(weight, norms)
    assert scores[:, :, 0].tolist() == [[[1, 3], [2, 4]], [[5, 7], [6, 8]]]


@st.composite
def rows_with_zeros(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int]:
    shape = draw(st.sampled_from([(1, 1), (3, 4), (5, 2), (2, 3, 2), (3, 2, 2, 2)]))
    size = torch.Size(shape).numel()
    scores = torch.tensor(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    pruned = torch.tensor(draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    zeros = draw(st.integers(int(pruned.sum()), size))
    return scores.double().view(shape), pruned.view(shape), zeros


@given(rows_with_zeros())
def test_rows_lose_alike_and_exactly_the_quota(
    case: tuple[torch.Tensor, torch.Tensor, int],
) -> None:
    scores, pruned, zeros = case
    marks = lowest_of_rows(scores, zeros, pruned)
    assert int(marks.sum()) == zeros
    assert bool((marks | ~pruned).all())
    counts = marks.flatten(1).sum(1).tolist()
    fresh = [
        count for count, row in zip(counts, pruned.flatten(1).sum(1), strict=True) if count > row
    ]
    assert not fresh or max(fresh) - min(counts) <= 1
    for row, mark, gone, count in zip(
        scores.flatten(1).tolist(),
        marks.flatten(1),
        pruned.flatten(1).tolist(),
        counts,
        strict=True,
    ):
        order = sorted(range(len(row)), key=lambda index: (not gone[index], row[index], index))
        assert set(mark.nonzero().flatten().tolist()) == set(order[:count])


@given(st.integers(17, 300), st.integers(1, 4), st.integers(0, 10**6))
def test_long_rows_of_equal_scores_lose_the_first(columns: int, kinds: int, seed: int) -> None:
    """Sorting is unstable from 17 numbers on, unless it is asked not to be."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(kinds, (2, columns), generator=generator).double()
    marks = lowest_of_rows(scores, columns, torch.zeros(2, columns, dtype=torch.bool))
    for row, mark, count in zip(scores.tolist(), marks, marks.sum(1).tolist(), strict=True):
        order = sorted(range(columns), key=row.__getitem__)
        assert set(mark.nonzero().flatten().tolist()) == set(order[:count])


def test_what_does_not_divide_goes_to_the_first_rows() -> None:
    assert row_counts([0, 0, 0], 4, 8) == [3, 3, 2]
    assert row_counts([0, 4, 0], 4, 8) == [2, 4, 2]
    assert row_counts([0, 3, 0], 4, 6) == [2, 3, 1]


@pytest.mark.parametrize("zeros", [2, 13])
def test_a_quota_that_does_not_fit_is_refused(zeros: int) -> None:
    with pytest.raises(ValueError, match=f"{zeros} zeros in rows of 4 that have 3 already"):
        row_counts([3, 0, 0], 4, zeros)


def test_a_layer_sees_what_the_pruned_layers_before_it_give() -> None:
    model = perceptron(2, 2, 2)
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 3.0], [5.0, 2.0]]))
        model[2].weight.copy_(torch.tensor([[4.0, 3.0], [4.0, 3.0]]))
    inputs = torch.tensor([[1.0, 1.0]])  # hidden: dense (4, 7), pruned (3, 5)
    quota = Quota.fixed({"0.weight": 2, "2.weight": 2})
    changes = carry_out(Wanda(), model, quota, Batches([(inputs, torch.zeros(0))]))
    assert changes["0.weight"].pruned.tolist() == [[True, False], [False, True]]
    assert changes["2.weight"].pruned.tolist() == [[True, False]] * 2  # 12 < 15; dense 16 < 21
    with torch.no_grad():
        model[2].weight.copy_(torch.tensor([[4.0, 2.3], [4.0, 2.3]]))
    changes = carry_out(Wanda(), model, quota, Batches([(inputs, torch.zeros(0))]))
    assert changes["2.weight"].pruned.tolist() == [[False, True]] * 2  # 12 > 11.5; dense 16 < 16.1


def test_an_allocation_that_fixes_no_layer_is_refused() -> None:
    batches = Batches([(torch.ones(1, 2), torch.zeros(0))])
    with pytest.raises(ValueError, match="choose an allocation that fixes"):
        carry_out(
            Wanda(), perceptron(2, 2), Quota(2, None, {"0.weight": 4}), batches, names=["0.weight"]
        )


def test_the_plan_hears_of_layers_that_do_not_fit() -> None:
    linear = Layer("fc.weight", ("Linear", "Module"), (4, 6))
    with pytest.raises(ValueError, match=r"unlike 'embed\.weight' \(Embedding\)"):
        Wanda().require_fit([linear, Layer("embed.weight", ("Embedding",), (4, 4))], Block(1, 2))
    with pytest.raises(ValueError, match=r"unlike 'fc\.extra' \(Linear\)"):
        Wanda().require_fit([Layer("fc.extra", ("Linear",), (4, 4))], Block(1, 2))
    tied = Layer(
        "fc.weight", ("Linear", "Module", "Embedding", "Module"), (4, 4), "", ("e.weight",)
    )
    with pytest.raises(ValueError, match=r"unlike 'fc\.weight' \(Linear, also 'e\.weight'\)"):
        Wanda().require_fit([linear, tied], Block(1, 2))
    (attention,) = find_layers(nn.MultiheadAttention(4, 2).out_proj)
    with pytest.raises(ValueError, match=r"NonDynamicallyQuantizableLinear"):
        Wanda().require_fit([attention], Block(1, 2))
    shared = Layer("a.weight", ("Linear", "Module") * 2, (4, 4), "", ("b.weight",))
    Wanda().require_fit([shared], Block(1, 2))
    with pytest.raises(ValueError, match="a multiple of 4 inputs"):
        Wanda().require_fit([linear], NM(2, 4))


def test_n_of_m_compares_within_groups_of_channels() -> None:
    model = nn.Sequential(nn.Conv2d(2, 1, (1, 2), bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[[[1.0, 1.0]], [[3.0, 3.0]]]]))
    inputs = torch.tensor([[[[4.0, 2.0]], [[1.0, 1.0]]]])  # scores 4 and 3 left, 2 and 3 right
    quota = Quota.fixed({"0.weight": 2})
    batches = Batches([(inputs, torch.zeros(0))])
    changes = carry_out(Wanda(), model, quota, batches, granularity=NM(1, 2))
    assert changes["0.weight"].pruned[0, :, 0].tolist() == [[False, True], [True, False]]
