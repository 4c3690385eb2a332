"""Bit masks: that every pattern is decoded, and how many bytes they take."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from pruneflow.deploy.kernels import KERNELS
from tests.deploy.kernels.exact import run, whole

pytest.importorskip("triton")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_every_byte_is_decoded_in_every_place(dtype: torch.dtype) -> None:
    row, lane = torch.arange(256)[:, None], torch.arange(16)[None, :]
    byte = (row + 16 * lane) % 256  # in each lane, each byte once
    mask = (byte[..., None] >> torch.arange(8) & 1).flatten(1).bool()
    generator = torch.Generator().manual_seed(0)
    weight = torch.where(mask, torch.randn(mask.shape, generator=generator), 0.0).to(dtype)
    kernel = KERNELS["bitmask"]
    packed = kernel.pack(weight)
    found = run(packed, torch.eye(128, dtype=dtype), None, kernel.configs(packed, 128)[0])
    assert torch.equal(found, weight.T)


@given(
    st.tuples(st.integers(1, 130), st.integers(1, 400)),
    st.integers(1, 40),
    st.sampled_from([16, 32, 64]),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.1, 0.6]),
)
@settings(max_examples=25)
def test_any_tiles_give_the_same_outputs(
    shape: tuple[int, int], batch: int, samples: int, splits: int, density: float
) -> None:
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(shape, generator=generator) < density
    weight = torch.where(mask, whole(*shape, seed=2), 0)
    x, bias = whole(batch, shape[1], seed=3), whole(shape[0], seed=4)
    config = {"BATCH": samples, "SPLIT": splits, "num_warps": 4, "num_stages": 2}
    found = run(KERNELS["bitmask"].pack(weight), x, bias, config)
    assert torch.equal(found, F.linear(x.float(), weight.float(), bias.float()).half())


@given(st.floats(0.0, 1.0), st.sampled_from([torch.bfloat16, torch.float32]))
@settings(max_examples=20)
def test_a_bit_and_a_quarter_for_each_weight_and_the_rest_for_those_left(
    density: float, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(5)
    mask = torch.rand(192, 512, generator=generator) < density
    weight = torch.where(mask, 1.0, 0.0).to(dtype)
    tiles, left = 3 * 4, int(mask.sum())
    values = KERNELS["bitmask"].pack(weight).bytes - tiles * 4 - weight.numel() * 1.25 / 8
    assert 0 <= values - left * weight.itemsize < tiles * 8 * weight.itemsize
