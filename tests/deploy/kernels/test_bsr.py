"""Blocks: how weights are cut into them, and that any tiles multiply by them alike."""

from __future__ import annotations

from math import prod

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pruneflow.deploy.kernels import KERNELS, Activation, Config, Packed, Window, blocks
from tests.deploy.kernels.exact import run, whole

pytest.importorskip("triton")


def kept(shape: tuple[int, int], sides: blocks.Sides, density: float, seed: int) -> torch.Tensor:
    """A mask that keeps some blocks."""
    generator = torch.Generator().manual_seed(seed)
    counts = [-(-length // side) for length, side in zip(shape, sides, strict=True)]
    mask = torch.rand(counts, generator=generator) < density
    mask = mask.repeat_interleave(sides[0], 0).repeat_interleave(sides[1], 1)
    return mask[: shape[0], : shape[1]]


def packed_in(sides: blocks.Sides, weight: torch.Tensor) -> Packed:
    """A weight in blocks of these sides."""
    cut = blocks.cut(weight, sides)
    return Packed("bsr", tuple(weight.shape), (cut.values, cut.columns, cut.starts))


def tiles(sides: blocks.Sides) -> st.SearchStrategy[Config]:
    """Any tiles for blocks of these sides, not only those worth measuring."""
    return st.fixed_dictionaries(
        {
            "OUT": st.sampled_from([side for side in (16, 32, 64, 128) if side <= sides[0]]),
            "BATCH": st.sampled_from([16, 32, 64]),
            "STEP": st.sampled_from([1, 2, 4]),
            "SPLIT": st.integers(1, 5),
            "GROUP": st.integers(1, 3),
            "num_warps": st.just(4),
            "num_stages": st.just(2),
        }
    )


@pytest.mark.parametrize("sides", blocks.SIDES)
def test_a_mask_of_blocks_is_cut_into_those_blocks(sides: blocks.Sides) -> None:
    weight = torch.where(kept((512, 512), sides, 0.2, seed=0), 1.0, 0.0)
    packed = KERNELS["bsr"].pack(weight)
    assert tuple(packed.parts[0].shape[1:]) == sides
    assert packed.parts[0].count_nonzero() == packed.parts[0].numel()


@given(
    st.sampled_from([(16, 16), (48, 32), (1, 64), (128, 128)]),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    st.sampled_from([torch.float16, torch.float32]),
)
@settings(max_examples=30)
def test_no_other_blocks_take_far_fewer_bytes(
    sides: blocks.Sides, shape: tuple[int, int], density: float, dtype: torch.dtype
) -> None:
    weight = torch.where(kept(shape, sides, density, seed=1), 1.0, 0.0).to(dtype)
    found = KERNELS["bsr"].pack(weight).bytes
    assert found <= blocks.SLACK * min(packed_in(sides, weight).bytes for sides in blocks.SIDES)


@given(st.data())
@settings(max_examples=30)
def test_any_tiles_give_the_same_outputs(data: st.DataObject) -> None:
    sides = data.draw(st.sampled_from(blocks.SIDES))
    shape = data.draw(st.tuples(st.integers(1, 200), st.integers(1, 200)))
    mask = kept(shape, sides, data.draw(st.sampled_from([0.2, 0.6, 1.0])), seed=2)
    weight = torch.where(mask, whole(*shape, seed=3), 0)
    x = whole(data.draw(st.integers(1, 70)), shape[1], seed=4)
    bias = whole(shape[0], seed=5)
    found = run(packed_in(sides, weight), x, bias, data.draw(tiles(sides)))
    assert torch.equal(found, F.linear(x.float(), weight.float(), bias.float()).half())


def test_larger_blocks_may_hang_a_little_over_the_edges() -> None:
    packed = KERNELS["bsr"].pack(torch.ones(560, 560))  # nine blocks of 64 each way, 35 of 16
    assert packed.parts[0].shape == (81, 64, 64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("batch", [1, 16, 24, 64, 256, 2048])
@pytest.mark.parametrize("rows", [64, 1024, 4096])
def test_the_best_guess_leaves_no_multiprocessor_idle_if_any_does_not(
    dtype: torch.dtype, batch: int, rows: int
) -> None:
    kernel, weight = KERNELS["bsr"], torch.zeros(rows, 2048, dtype=dtype)
    weight[:, ::2] = 1
    packed, x = kernel.pack(weight), torch.zeros(batch, 2048, dtype=dtype)
    y = kernel.output(x, packed, Window())
    programs = [
        prod(kernel.launches(x, packed, None, Activation(), Window(), config, y)[0].grid)
        for config in kernel.configs(packed, batch)
    ]
    assert min(132, programs[0]) == min(132, max(programs))
