"""SparseGPT: exact counts everywhere, n:m, less error than leaving weights as they are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities.block import Block
from pruneflow.pruning.granularities.nm import NM
from pruneflow.pruning.oneshot.sparsegpt import Problem, SparseGPT
from pruneflow.pruning.oneshot.wanda import lowest_of_rows, wanda_scores
from pruneflow.pruning.scope import Layer
from tests.pruning.oneshot import test_obs
from tests.pruning.oneshot.subjects import Batches, carry_out, perceptron


def problem(groups: int, rows: int, columns: int, seed: int = 0) -> Problem:
    parts = [test_obs.problem(rows, columns, seed + group) for group in range(groups)]
    matrices, hessians = (torch.stack(part) for part in zip(*parts, strict=True))
    return Problem(matrices, hessians, torch.zeros_like(matrices, dtype=torch.bool))


def error(problem: Problem, solved: torch.Tensor) -> float:
    change = solved - problem.matrices[0]
    return float((change @ problem.hessians[0] @ change.mT).trace())


@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 10), st.data())
def test_exactly_the_quota_goes_and_what_was_pruned_stays(
    groups: int, rows: int, columns: int, block_size: int, data: st.DataObject
) -> None:
    given_ = problem(groups, rows, columns)
    size = given_.matrices.numel()
    earlier = torch.tensor(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    pruned = earlier.view(given_.matrices.shape)
    whole = Problem(given_.matrices.masked_fill(pruned, 0.0), given_.hessians, pruned)
    zeros = data.draw(st.integers(int(earlier.sum()), size))
    weights, marks = (torch.stack(part) for part in whole.solve(zeros, 0.01, block_size))
    assert int(marks.sum()) == zeros
    assert bool((marks | ~whole.pruned).all())
    assert torch.equal(weights == 0, marks)
    assert not weights[marks].signbit().any()


@settings(max_examples=30)
@given(st.sampled_from([NM(2, 4), NM(1, 2), NM(1, 3)]), st.integers(1, 3), st.integers(1, 20))
def test_n_of_m_leaves_just_n_of_every_group(pattern: NM, rows: int, block_size: int) -> None:
    given_ = problem(2, rows, 2 * pattern.m)
    whole = Problem(given_.matrices, given_.hessians, given_.pruned, pattern)
    zeros = 2 * rows * 2 * (pattern.m - pattern.n)
    _, marks = whole.solve(zeros, 0.01, block_size)
    groups = torch.stack(marks).view(-1, pattern.m)
    assert set(groups.sum(1).tolist()) == {pattern.m - pattern.n}


def test_a_group_of_m_loses_what_costs_least() -> None:
    matrices = torch.tensor([[[3.0, 1.0, 2.0, 4.0]]]).double()
    hessians = torch.diag(torch.tensor([1.0, 100, 1, 0.1]).double())[None]
    # w^2 / [H^-1]_jj = 9, 100, 4, 1.6
    whole = Problem(matrices, hessians, torch.zeros_like(matrices, dtype=torch.bool), NM(2, 4))
    weights, marks = whole.solve(2, 0.0, 128)
    assert marks[0].tolist() == [[False, False, True, True]]
    assert weights[0].tolist() == [[3, 1, 0, 0]]


def test_blocks_lose_the_same_share_of_what_is_left() -> None:
    given_ = problem(1, 2, 6)
    earlier = given_.pruned.clone()
    earlier[0, :, 0] = True
    whole = Problem(given_.matrices, given_.hessians, earlier)
    assert whole.counts(7, 2) == [{0: 3, 2: 2, 4: 2}]
    assert given_.counts(5, 4) == [{0: 3, 4: 2}]


@pytest.mark.parametrize("zeros", [1, 13])
def test_a_quota_without_room_is_refused(zeros: int) -> None:
    given_ = problem(1, 2, 6)
    earlier = given_.pruned.clone()
    earlier[0, :, 0] = True
    whole = Problem(given_.matrices, given_.hessians, earlier)
    with pytest.raises(ValueError, match=f"{zeros} zeros do not fit 12 weights with 2 zeros"):
        whole.counts(zeros, 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_outputs_change_less_than_with_magnitude_or_wanda(seed: int, share: float) -> None:
    whole = problem(1, 16, 32, seed)
    zeros = int(whole.matrices.numel() * share)
    (solved,), _ = whole.solve(zeros, 0.01, 8)
    weights, none = whole.matrices[0], whole.pruned[0]
    norms = whole.hessians.diagonal(dim1=1, dim2=2).sqrt()
    for scores in (weights.abs(), wanda_scores(weights, norms)):
        kept = weights.masked_fill(lowest_of_rows(scores, zeros, none), 0.0)
        assert error(whole, solved) < error(whole, kept)


def test_the_scale_of_inputs_does_not_matter() -> None:
    whole = problem(1, 4, 8)
    scaled = Problem(whole.matrices, whole.hessians * 2.0**20, whole.pruned)
    (one,), (mark,) = whole.solve(16, 0.01, 4)
    (other,), (same,) = scaled.solve(16, 0.01, 4)
    assert torch.equal(mark, same)
    assert torch.allclose(one, other, rtol=1e-9)


def test_weights_of_silent_inputs_go_first_and_those_left_stay() -> None:
    whole = problem(1, 2, 5)
    whole.hessians[0, 1, :] = whole.hessians[0, :, 1] = 0
    (solved,), (marks,) = whole.solve(1, 0.01, 128)
    assert marks.nonzero().tolist() == [[0, 1]]
    assert torch.equal(solved[1], whole.matrices[0, 1])


def test_a_network_without_any_signal_is_pruned_all_the_same() -> None:
    batches = Batches([(torch.zeros(2, 4), torch.zeros(0))])
    model = perceptron(4, 2)
    before = model[0].weight.detach().clone()
    change = carry_out(SparseGPT(), model, Quota.fixed({"0.weight": 3}), batches)["0.weight"]
    assert change.pruned.tolist() == [[True, True, True, False], [False] * 4]
    assert torch.equal(change.weight, before.masked_fill(change.pruned, 0.0))


def test_only_single_weights_and_n_of_m_are_defined() -> None:
    layer = Layer("fc.weight", ("Linear",), (4, 4))
    SparseGPT().require_fit([layer], NM(2, 4))
    with pytest.raises(ValueError, match="not blocks of 2 x 2"):
        SparseGPT().require_fit([layer], Block(2, 2))
