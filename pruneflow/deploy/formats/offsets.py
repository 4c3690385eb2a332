"""Where the rows of a compressed-row layout begin."""

from __future__ import annotations

import numpy as np
import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats.base import Integers


def write_offsets(rows: Integers, height: int) -> torch.Tensor:
    """Where each row begins in the rising list ``rows``, and where the last one ends; uint32."""
    return torch.from_numpy(np.searchsorted(rows, np.arange(height + 1)).astype(np.uint32))


def read_offsets(offsets: torch.Tensor, height: int, length: int) -> Integers:
    """How many elements each of ``height`` rows has.

    Raises:
        Damage: The offsets do not lead from 0 to ``length``, never falling.
    """
    starts = offsets.numpy().astype(np.int64)
    expect(
        len(starts) == height + 1, f"there are {len(starts)} offsets, not {height + 1} for the rows"
    )
    expect(int(starts[0]) == 0, "the offsets do not begin with 0")
    counts = np.diff(starts)
    expect(not (counts < 0).any(), "the offsets fall")
    expect(int(starts[-1]) == length, f"the offsets end with {starts[-1]}, not with {length}")
    return counts


def rising_within(rows: Integers, columns: Integers) -> bool:
    """Whether the columns of every row rise strictly; ``rows`` never falls."""
    return bool(((np.diff(columns) > 0) | (np.diff(rows) > 0)).all())
