"""Index and values against the entropy bound, whatever the pattern of the mask."""

from __future__ import annotations

from math import comb, log2

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.bundles.entropy import bound_bits
from pruneflow.deploy.bundles.packing import size, smallest
from pruneflow.deploy.formats import FORMATS

FILLING = 14
"""Bits at the ends of Rice's two streams that mean nothing, at most."""


@st.composite
def sparse_masks(draw: st.DrawFn) -> torch.Tensor:
    """At least 10 000 weights, fewer than an eighth of them kept: random, in runs, in stripes."""
    numel = draw(st.integers(10_000, 60_000))
    count = draw(st.integers(0, (numel - 1) // 8) | st.integers(0, 20))
    kind = draw(st.sampled_from(["random", "run", "stripes"]))
    mask = torch.zeros(numel, dtype=torch.bool)
    if kind == "random":
        generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
        mask[torch.randperm(numel, generator=generator)[:count]] = True
    elif kind == "run":
        start = draw(st.integers(0, numel - count))
        mask[start : start + count] = True
    else:
        mask[torch.arange(count) * (numel // max(count, 1))] = True
    return mask


@given(sparse_masks(), st.sampled_from([8, 16, 32]))
def test_the_smallest_is_within_ten_percent_of_the_bound(
    mask: torch.Tensor, value_bits: int
) -> None:
    bound = bound_bits(mask.numel(), int(mask.sum()), value_bits)
    name = smallest(mask, value_bits)
    assert 8 * size(mask, name, value_bits) <= 1.1 * bound + FILLING


@given(sparse_masks())
def test_rice_is_within_six_tenths_of_a_bit_a_weight(mask: torch.Tensor) -> None:
    kept = int(mask.sum())
    index = FORMATS["rice"].encode(mask)
    assert 8 * index.bytes <= bound_bits(mask.numel(), kept, 0) + 0.6 * kept + FILLING


@given(st.integers(0, 300), st.data(), st.sampled_from([0, 8, 32]))
def test_the_bound_is_what_counting_says_up_to_a_logarithm(
    numel: int, data: st.DataObject, value_bits: int
) -> None:
    kept = data.draw(st.integers(0, numel))
    bound = bound_bits(numel, kept, value_bits) - kept * value_bits
    counted = log2(comb(numel, kept))
    assert counted <= bound + 1e-6
    assert bound <= counted + log2(numel + 1) + 1e-6


@pytest.mark.parametrize("density", [0.02, 0.05, 0.1, 0.12])
def test_random_masks_come_within_two_percent(density: float) -> None:
    mask = torch.rand(300, 784) < density
    kept = int(mask.sum())
    for value_bits in (8, 16, 32):
        bound = bound_bits(mask.numel(), kept, value_bits)
        assert 8 * size(mask, smallest(mask, value_bits), value_bits) <= 1.02 * bound


def test_what_is_smallest_where() -> None:
    assert smallest(torch.ones(100, 100), 32) == "dense"
    assert smallest(torch.rand(100, 100) < 0.5, 32) == "bitmask"
    assert smallest(torch.rand(100, 100) < 0.05, 32) == "rice"
    assert smallest(torch.zeros(100, 100), 32) == "gaps8"
    blocks = (torch.rand(10, 10) < 0.1).repeat_interleave(16, 0).repeat_interleave(16, 1)
    assert smallest(blocks, 32) == "bsr"
