"""Laws of blocks: whole ones go, those with the lowest sums first, counted exactly."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota
from pruneflow.pruning.granularities.block import Block
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.scope import Layer
from tests.pruning.granularities.slow import Shape, scored, shapes, units
from tests.strategies import sparsities

SIDES = [Block(1, 1), Block(2, 3), Block(4, 1), Block(1, 4), Block(3, 2)]
Drawn = tuple[Block, list[Shape], list[torch.Tensor]]


def layers_of(some: list[Shape]) -> list[Layer]:
    return [Layer(str(at), ("Linear",), shape) for at, shape in enumerate(some)]


@st.composite
def cases(draw: st.DrawFn) -> Drawn:
    block = draw(st.sampled_from(SIDES))
    some = draw(st.lists(shapes(block.rows, block.columns), min_size=1, max_size=3))
    # Whole numbers, so that a sum is the same in any order.
    return block, some, [part.clamp(max=50).round() for part in draw(scored(some))]


def chosen(case: Drawn, quota: Quota) -> list[torch.Tensor]:
    block, some, scores = case
    starts = {str(at): partial(chunks, part) for at, part in enumerate(scores)}
    marks = block.choose(starts, {str(at): shape for at, shape in enumerate(some)}, quota)
    return [marks[str(at)].view(shape) for at, shape in enumerate(some)]


def blocks_of(block: Block, shape: Shape) -> list[list[tuple[int, ...]]]:
    return [*units(shape, block.rows, block.columns)]


@given(cases(), st.data())
def test_any_quota_takes_the_blocks_of_the_lowest_sums(case: Drawn, data: st.DataObject) -> None:
    block, some, scores = case
    area = block.rows * block.columns
    cut = [blocks_of(block, shape) for shape in some]
    caps = {str(at): area * data.draw(st.integers(0, len(part))) for at, part in enumerate(cut)}
    whole = data.draw(st.integers(0, sum(caps.values()) // area))
    ranked = sorted(
        (sum(float(scores[at][index]) for index in weights), at, place)
        for at, part in enumerate(cut)
        for place, weights in enumerate(part)
    )
    wanted = [torch.zeros(shape, dtype=torch.bool) for shape in some]
    left, room = whole, {at: caps[str(at)] // area for at in range(len(some))}
    for _, at, place in ranked:
        if left and room[at]:
            left, room[at] = left - 1, room[at] - 1
            for index in cut[at][place]:
                wanted[at][index] = True
    marks = chosen(case, Quota(whole * area, None, caps))
    assert all(torch.equal(mark, right) for mark, right in zip(marks, wanted, strict=True))


@given(cases(), sparsities(), st.sampled_from(list(ALLOCATIONS)))
def test_sparsity_is_rounded_to_whole_blocks(case: Drawn, sparsity: float, allocation: str) -> None:
    block, some, _ = case
    area = block.rows * block.columns
    quota = block.quota(ALLOCATIONS[allocation], layers_of(some), sparsity, Guard(1.0, 0))
    counts = [len(blocks_of(block, shape)) for shape in some]
    if allocation in ("global", "lamp", "erk"):
        assert abs(quota.zeros - sparsity * area * sum(counts)) <= area / 2 + 1e-9
    else:
        assert quota.layers is not None
        for zeros, count in zip(quota.layers.values(), counts, strict=True):
            assert abs(zeros - sparsity * area * count) <= area / 2 + 1e-9
    numbers = [quota.zeros, *quota.caps.values(), *(quota.layers or {}).values()]
    assert all(number % area == 0 for number in numbers)
    for mark, shape in zip(chosen(case, quota), some, strict=True):
        assert all(
            len({bool(mark[i]) for i in weights}) == 1 for weights in blocks_of(block, shape)
        )


def test_the_guard_counts_weights_and_keeps_whole_blocks() -> None:
    layers = layers_of([(8, 8), (80, 80)])
    block = Block(4, 4)
    caps = block.quota(ALLOCATIONS["global"], layers, 0.5, Guard(1.0, 17)).caps
    assert caps == {"0": 32, "1": 6400 - 32}  # for 17 weights two blocks are kept
    caps = block.quota(ALLOCATIONS["global"], layers, 0.5, Guard(0.6, 0)).caps
    assert caps == {"0": 32, "1": 3840}
    caps = block.quota(ALLOCATIONS["global"], layers, 0.5, Guard()).caps
    assert caps == {"0": 64 - 2 * 16, "1": 6400 - 20 * 16}  # a block in each row of blocks


def test_a_refusal_says_that_blocks_are_counted() -> None:
    with pytest.raises(ValueError, match=r"each of the blocks of 4 x 4 as one weight, .*0 of 4"):
        Block(4, 4).quota(ALLOCATIONS["uniform"], layers_of([(8, 8)]), 0.9, Guard())


def test_a_block_of_a_convolution_has_one_place_in_the_window() -> None:
    weight = torch.ones(4, 4, 1, 2)
    weight[:2, 2:, 0, 1] = 0.5
    (mark,) = chosen((Block(2, 2), [(4, 4, 1, 2)], [weight]), Quota.fixed({"0": 4}))
    assert torch.equal(mark, weight == 0.5)


def test_sums_of_halves_are_not_rounded_to_halves() -> None:
    scores = torch.ones(2, 512, dtype=torch.bfloat16)
    scores[0, 0] = 1.0078125  # one part in 65,000 of the block's sum
    (mark,) = chosen((Block(1, 512), [(2, 512)], [scores]), Quota.fixed({"0": 512}))
    assert mark.tolist() == [[False] * 512, [True] * 512]
