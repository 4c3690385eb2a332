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


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5), st.integers(0, 40))
def test_the_sums_are_those_of_the_papers_in_whole_numbers(words: list[int], before: int) -> None:
    def key(place: int) -> int:
        """SplitMix64's number of that place, from the seed 0 (Steele et al. 2014, figure 16)."""
        z = (place + 1) * 0x9E3779B97F4A7C15 % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    assert key(0) == 0xE220A8397B1DCDAF  # the first that every implementation of it gives
    mask = torch.tensor([word >> bit & 1 for word in words for bit in range(32)])
    sums = [sum(word * key(2 * (before + at) + one) for at, word in enumerate(words)) % 2**64
            for one in (0, 1)]  # fmt: skip
    assert [each % 2**64 for each in fingerprint([mask], 32 * before)] == sums
