"""Laws of fingerprints: those of parts add up to that of the whole, and every bit counts."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.fingerprint import fingerprint

MASKS = st.lists(st.booleans(), max_size=200).map(lambda bits: torch.tensor(bits, dtype=torch.bool))
CUTS = st.lists(st.integers(0, 200), max_size=4).map(sorted)


def summed(sums: list[list[int]]) -> list[int]:
    """As an ``all_reduce`` of 64-bit integers adds them."""
    return torch.tensor(sums, dtype=torch.int64).sum(0).tolist()


@given(MASKS, CUTS, st.integers(0, 100))
def test_those_of_the_parts_add_up_to_that_of_the_whole(
    mask: torch.Tensor, cuts: list[int], offset: int
) -> None:
    ends = [0, *(min(cut, len(mask)) for cut in cuts), len(mask)]
    parts = [(start, mask[start:end]) for start, end in pairwise(ends)]
    whole = fingerprint([mask], offset)
    assert summed([fingerprint([part], offset + at) for at, part in parts]) == whole
    assert fingerprint([part for _, part in parts], offset) == whole


@given(MASKS, st.data())
def test_every_bit_counts_in_every_sum(mask: torch.Tensor, data: st.DataObject) -> None:
    if not len(mask):
        return
    other = mask.clone()
    other[data.draw(st.integers(0, len(mask) - 1))] ^= True
    pairs = zip(fingerprint([mask]), fingerprint([other]), strict=True)
    assert all(one != two for one, two in pairs)


def test_the_place_counts_not_the_number_of_ones_alone() -> None:
    single = [fingerprint([torch.arange(4096) == at])[0] for at in range(4096)]
    assert len(set(single)) == 4096
