"""Sizes: what a masked tensor takes with its index counted."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.training.artifacts import compression, packed_bytes


def gap_bytes(kept: list[bool], width: int) -> int:
    """Values and fillers of the gap layout, counted one by one."""
    entries, gap = 0, 0
    for keep in kept:
        if keep:
            entries += 1
            gap = 0
        elif gap == 255:
            entries += 1  # a filler stands for 255 zeros and one more
            gap = 0
        else:
            gap += 1
    return entries * (width + 1)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 900))
def test_the_smallest_of_three_layouts_counts(kept: list[bool], hole: int) -> None:
    bits = [*kept, *[False] * hole, True]
    dense, bitmask = 4 * len(bits), -(-len(bits) // 8) + 4 * sum(bits)
    expected = min(dense, bitmask, gap_bytes(bits, 4))
    assert packed_bytes(torch.tensor(bits), 4) == expected


def test_compression_is_sparse_over_dense() -> None:
    layers = {
        "a": {"parameters": 100, "nonzeros": 10, "bytes": {"dense": 400, "packed": 50}},
        "b": {"parameters": 100, "nonzeros": 100, "bytes": {"dense": 400, "packed": 400}},
    }
    assert compression(layers) == {"parameters": 0.55, "bytes": 0.5625}
