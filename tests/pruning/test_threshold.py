"""Laws of the threshold: exactly the k lowest, whatever the dtype, the ties, the chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pruneflow.pruning import masks
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.shards import Ranks
from pruneflow.pruning.threshold import Scores, lowest, select
from tests.pruning.ranks import on_ranks, shared_out
from tests.strategies import DTYPES, weight_lists


def passes(tensors: Sequence[torch.Tensor]) -> list[Scores]:
    return [lambda t=t: chunks(t) for t in tensors]


def by_stable_sort(tensors: Sequence[torch.Tensor], k: int) -> list[list[bool]]:
    """The reference: sort all scores as doubles (exact for every dtype here), ties by place."""
    flat = [
        (float(score), tensor, index)
        for tensor, part in enumerate(tensors)
        for index, score in enumerate(part.tolist())
    ]
    chosen = {(tensor, index) for _, tensor, index in sorted(flat, key=lambda s: s[0])[:k]}
    return [[(t, i) in chosen for i in range(part.numel())] for t, part in enumerate(tensors)]


def by_greed(tensors: Sequence[torch.Tensor], quota: Quota) -> list[list[bool]]:
    """The reference under caps: walk scores upwards, skip full layers, stop at the quota."""
    order = sorted(
        (float(score), tensor, index)
        for tensor, part in enumerate(tensors)
        for index, score in enumerate(part.tolist())
    )
    room = [quota.caps[str(tensor)] for tensor in range(len(tensors))]
    marks = [[False] * part.numel() for part in tensors]
    left = quota.zeros
    for _, tensor, index in order:
        if left and room[tensor]:
            marks[tensor][index] = True
            room[tensor] -= 1
            left -= 1
    return marks


@st.composite
def lowest_cases(draw: st.DrawFn) -> tuple[list[torch.Tensor], int]:
    tensors = draw(weight_lists(infinities=True))
    return tensors, draw(st.integers(0, sum(t.numel() for t in tensors)))


@st.composite
def capped_cases(draw: st.DrawFn) -> tuple[list[torch.Tensor], Quota]:
    tensors = draw(weight_lists(infinities=True))
    caps = {str(i): draw(st.integers(0, t.numel())) for i, t in enumerate(tensors)}
    return tensors, Quota(draw(st.integers(0, sum(caps.values()))), None, caps)


@given(lowest_cases())
@example(([torch.zeros(7), -torch.zeros(5)], 6))
@example(([torch.full((3,), float("-inf")), torch.full((3,), float("inf"))], 4))
@example(([torch.tensor([4e-45, 1e-45, 0.0, 3e-45])], 2))  # leading digits of no bits
@example(([torch.tensor([1e-323, 5e-324], dtype=torch.float64)], 1))
def test_lowest_is_the_head_of_a_stable_sort(case: tuple[list[torch.Tensor], int]) -> None:
    tensors, k = case
    marks = lowest(passes(tensors), k)
    assert [mark.tolist() for mark in marks] == by_stable_sort(tensors, k)
    assert sum(int(mark.sum()) for mark in marks) == k
    assert all(mark.dtype is torch.bool for mark in marks)


@given(capped_cases())
def test_select_is_the_greedy_walk_past_full_layers(
    case: tuple[list[torch.Tensor], Quota],
) -> None:
    tensors, quota = case
    scores = {str(i): start for i, start in enumerate(passes(tensors))}
    marks = select(scores, quota)
    assert [mark.tolist() for mark in marks.values()] == by_greed(tensors, quota)
    assert list(marks) == list(scores)


@given(lowest_cases())
def test_select_by_layer_is_lowest_by_layer(case: tuple[list[torch.Tensor], int]) -> None:
    tensors, k = case
    wanted = {str(i): min(k, t.numel()) for i, t in enumerate(tensors)}
    scores = {str(i): start for i, start in enumerate(passes(tensors))}
    marks = select(scores, Quota.fixed(wanted))
    for index, tensor in enumerate(tensors):
        [expected] = by_stable_sort([tensor], wanted[str(index)])
        assert marks[str(index)].tolist() == expected


@given(lowest_cases(), st.integers(1, 5))
@example(([torch.zeros(1), torch.ones(3)], 2), 4)
def test_ranks_that_share_out_the_rows_mark_the_same_together(
    case: tuple[list[torch.Tensor], int], size: int
) -> None:
    tensors, k = case

    def work(ranks: Ranks) -> list[torch.Tensor]:
        return lowest(passes(shared_out(tensors, ranks)), k, ranks)

    together = [torch.cat(parts).tolist() for parts in zip(*on_ranks(size, work), strict=True)]
    assert together == by_stable_sort(tensors, k)


@given(capped_cases(), st.integers(1, 3))
def test_ranks_that_share_out_the_rows_keep_the_caps_together(
    case: tuple[list[torch.Tensor], Quota], size: int
) -> None:
    tensors, quota = case

    def work(ranks: Ranks) -> list[torch.Tensor]:
        starts = passes(shared_out(tensors, ranks))
        named = {str(at): start for at, start in enumerate(starts)}
        return list(select(named, quota, ranks=ranks).values())

    together = [torch.cat(parts).tolist() for parts in zip(*on_ranks(size, work), strict=True)]
    assert together == by_greed(tensors, quota)


@given(weight_lists(), st.integers(1, 5))
def test_chunks_do_not_show(tensors: list[torch.Tensor], size: int) -> None:
    k = sum(t.numel() for t in tensors) // 2
    whole = lowest(passes(tensors), k)

    def start(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
        return iter(tensor.split(size))

    parts = lowest([lambda t=t: start(t) for t in tensors], k)
    assert all(torch.equal(one, other) for one, other in zip(whole, parts, strict=True))


def test_chunks_cover_a_tensor_in_index_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "CHUNK", 4)
    tensor = torch.arange(10.0).view(2, 5)
    assert [chunk.tolist() for chunk in chunks(tensor)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert torch.cat(list(chunks(tensor.t()))).tolist() == tensor.t().reshape(-1).tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_big_tensor_of_many_ties_agrees_with_torchs_stable_sort(dtype: torch.dtype) -> None:
    tensor = (torch.randn(50_000) * 8).round().div(8).to(dtype)
    for k in (1, 777, 25_000, 49_999):
        [mark] = lowest(passes([tensor]), k)
        order = tensor.double().sort(stable=True).indices[:k]
        expected = torch.zeros(tensor.numel(), dtype=torch.bool)
        expected[order] = True
        assert torch.equal(mark, expected)


@pytest.mark.parametrize("k", [-1, 6])
def test_more_than_there_is_cannot_be_chosen(k: int) -> None:
    with pytest.raises(ValueError, match="of 5 scores"):
        lowest(passes([torch.randn(3), torch.randn(2)]), k)


def test_an_overflow_that_fills_the_next_layer_moves_on() -> None:
    scores = passes([torch.zeros(4), torch.ones(4), torch.full((4,), 2.0)])
    quota = Quota(6, None, {"a": 1, "b": 2, "c": 4})
    marks = select(dict(zip("abc", scores, strict=True)), quota)
    assert {name: int(mark.sum()) for name, mark in marks.items()} == {"a": 1, "b": 2, "c": 3}
