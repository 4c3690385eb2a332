"""``n:m``: in every m neighbours of a row the same n are stored, wherever they stand.

The layout of sparse tensor cores, which want 2:4 (Mishra et al. 2021, arXiv:2104.08378).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats import bits
from pruneflow.deploy.formats.base import (
    Format,
    Index,
    Options,
    Parts,
    Shape,
    exactly,
    register,
    sides,
    table,
    whole,
)

_LARGEST = 256


@register
@dataclass(frozen=True)
class NM(Format):
    """For masks that keep at most n weights of any group.

    A group is m columns that follow one another in a row; the last of a row may be shorter. A
    group that keeps fewer than n is filled up with its first pruned weights.

    Attributes:
        n: How many weights of a group are stored; all, if there are fewer.
        m: The size of a group.
    """

    n: int = 2
    m: int = 4
    name: ClassVar[str] = "n:m"
    parts: ClassVar = {"positions": torch.uint8}
    options: ClassVar = ("n", "m")

    def __post_init__(self) -> None:
        if not 1 <= self.n <= self.m <= _LARGEST:
            raise ValueError(f"{self.n}:{self.m} is no pattern: 1 <= n <= m <= {_LARGEST}")

    def refuses(self, mask: torch.Tensor) -> str | None:
        """See base class."""
        crowded = int((self._groups(mask).sum(-1) > self.n).sum())
        return f"{crowded} groups of {self.m} keep more than {self.n} weights" if crowded else None

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class."""
        groups = self._groups(mask)
        room = self.n - groups.sum(-1, keepdims=True)
        chosen = groups | ((~groups).cumsum(-1) <= room)
        (height, across, _), width = groups.shape, sides(tuple(mask.shape))[1]
        places = np.flatnonzero(chosen.reshape(height, across * self.m)[:, :width])
        positions = places % max(width, 1) % self.m
        packed = bits.write_numbers(positions, _bits(self.m))
        return Index({"positions": packed}, {"n": self.n, "m": self.m}, torch.from_numpy(places))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        m = whole(options, "m", 1, _LARGEST)
        n = whole(options, "n", 1, m)
        height, width = sides(shape)
        groups, rest = divmod(width, m)
        across = groups * n + min(n, rest)
        exactly(stored, height * across, f"the number of weights stored for {n}:{m} is")
        positions = bits.read_numbers(parts["positions"], stored, _bits(m), "positions")
        expect(not (positions >= m).any(), f"a position is not below {m}")
        starts = np.arange(across) // n * m
        columns = starts + positions.reshape(height, across)
        expect(not (columns >= width).any(), "a position is beyond the end of its row")
        expect(bool((np.diff(columns) > 0).all()), "the positions of a group do not rise")
        return torch.from_numpy((np.arange(height)[:, None] * width + columns).reshape(-1))

    def _groups(self, mask: torch.Tensor) -> npt.NDArray[np.bool_]:
        """Rows by groups by columns, with pruned weights after the end of a row."""
        height, width = sides(tuple(mask.shape))
        across = -(-width // self.m)
        padded = np.zeros((height, across * self.m), dtype=np.bool_)
        padded[:, :width] = table(mask)
        return padded.reshape(height, across, self.m)


def _bits(m: int) -> int:
    """The width of a position in a group."""
    return (m - 1).bit_length()
