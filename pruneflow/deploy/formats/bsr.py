"""``bsr``: compressed sparse rows of blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from pruneflow.deploy.bundles.damage import Damage, expect, quoted
from pruneflow.deploy.formats.base import (
    Format,
    Index,
    Integers,
    Option,
    Options,
    Parts,
    Shape,
    exactly,
    register,
    sides,
    table,
)
from pruneflow.deploy.formats.offsets import read_offsets, rising_within, write_offsets

_LARGEST = 1 << 16


@register
@dataclass(frozen=True)
class Bsr(Format):
    """For masks that keep or prune whole blocks.

    A block that keeps a weight is stored whole, row by row; at the right and the lower edge, as
    much of it as there is.

    Attributes:
        block: Its rows and columns.
    """

    block: tuple[int, int] = (16, 16)
    name: ClassVar[str] = "bsr"
    parts: ClassVar = {"blocks": torch.uint32, "offsets": torch.uint32}
    options: ClassVar = ("block",)

    def __post_init__(self) -> None:
        if not all(1 <= side <= _LARGEST for side in self.block):
            raise ValueError(f"a block has sides from 1 to {_LARGEST}, not {self.block}")

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class."""
        shape, (tall, wide) = tuple(mask.shape), self.block
        height, width = sides(shape)
        down, across = -(-height // tall), -(-width // wide)
        padded = np.zeros((down * tall, across * wide), dtype=np.bool_)
        padded[:height, :width] = table(mask)
        used = padded.reshape(down, tall, across, wide).any((1, 3))
        rows, columns = (axis.astype(np.int64) for axis in np.nonzero(used))
        parts = {
            "blocks": torch.from_numpy(columns.astype(np.uint32)),
            "offsets": write_offsets(rows, down),
        }
        places = _cells(rows, columns, self.block, (height, width))
        return Index(parts, {"block": [tall, wide]}, torch.from_numpy(places))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        tall, wide = _block(options["block"])
        height, width = sides(shape)
        down, across = -(-height // tall), -(-width // wide)
        columns = parts["blocks"].numpy().astype(np.int64)
        counts = read_offsets(parts["offsets"], down, len(columns))
        rows = np.repeat(np.arange(down), counts)
        expect(not (columns >= across).any(), f"a block's column is not below {across}")
        expect(rising_within(rows, columns), "the blocks of a row do not rise")
        area = _extent(rows, tall, height) * _extent(columns, wide, width)
        exactly(stored, int(area.sum()), "the number of weights in the blocks is")
        return torch.from_numpy(_cells(rows, columns, (tall, wide), (height, width)))


def _block(value: Option) -> tuple[int, int]:
    """The option, believed only if it is two positive sides."""
    if not isinstance(value, list) or len(value) != 2:
        raise Damage("the option block is not two numbers")
    tall, wide = value
    expect(1 <= tall <= _LARGEST and 1 <= wide <= _LARGEST, f"a block cannot be {quoted(value)}")
    return tall, wide


def _extent(positions: Integers, side: int, length: int) -> Integers:
    """How much of each block there is along one axis."""
    extent: Integers = np.minimum(side, length - positions * side)
    return extent


def _cells(
    rows: Integers, columns: Integers, block: tuple[int, int], size: tuple[int, int]
) -> Integers:
    """The places of the weights in blocks, block by block; memory grows with their number only."""
    wide = _extent(columns, block[1], size[1])
    area = _extent(rows, block[0], size[0]) * wide
    corner = rows * block[0] * size[1] + columns * block[1]
    within = np.arange(int(area.sum())) - np.repeat(np.cumsum(area) - area, area)
    down, across = np.divmod(within, np.repeat(wide, area))
    places: Integers = np.repeat(corner, area) + down * size[1] + across
    return places
