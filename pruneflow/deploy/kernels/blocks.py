"""Matrices cut into blocks, of which only those that hold a weight are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from pruneflow.deploy.kernels.language import cdiv

Sides = tuple[int, int]
"""Rows and columns of a block."""

SIDES: tuple[Sides, ...] = ((16, 16), (32, 32), (64, 64), (128, 64))
"""From small to large. One of 128 columns is two of 64: as many as are multiplied at once."""
SLACK = 1.125
"""Larger blocks are multiplied faster: worth an eighth more bytes."""


@dataclass(frozen=True)
class Blocks:
    """The blocks of a matrix that hold a weight, row by row of blocks, from left to right.

    Attributes:
        values: (blocks, rows, columns).
        columns: (blocks,); where they are, counted in blocks.
        starts: (rows of blocks + 1,); where the blocks of a row start.
    """

    values: torch.Tensor
    columns: torch.Tensor
    starts: torch.Tensor


def best_sides(lay: Callable[[Sides], torch.Tensor], itemsize: int) -> Sides:
    """The largest blocks that take hardly more bytes than any other.

    Args:
        lay: The mask as blocks of these sides have to cover it.
        itemsize: Bytes of a value.
    """
    cost = {sides: _bytes(tiled(lay(sides), sides), itemsize) for sides in SIDES}
    return max(sides for sides in SIDES if cost[sides] <= SLACK * min(cost.values()))


def tiled(matrix: torch.Tensor, sides: Sides) -> torch.Tensor:
    """(down, across, *sides) of a matrix, filled up with zeros."""
    down, across = (cdiv(length, side) for length, side in zip(matrix.shape, sides, strict=True))
    missing = (down * sides[0] - matrix.shape[0], across * sides[1] - matrix.shape[1])
    padded = F.pad(matrix, (0, missing[1], 0, missing[0]))
    return padded.view(down, sides[0], across, sides[1]).transpose(1, 2)


def cut(matrix: torch.Tensor, sides: Sides) -> Blocks:
    """The blocks of a matrix."""
    tiles = tiled(matrix, sides)
    used = (tiles != 0).any(3).any(2)
    rows, columns = used.nonzero(as_tuple=True)
    starts = F.pad(used.sum(1).cumsum(0), (1, 0))
    values = tiles[rows, columns].contiguous()
    return Blocks(values, columns.to(torch.int32), starts.to(torch.int32))


def joined(blocks: Blocks, shape: tuple[int, int]) -> torch.Tensor:
    """The matrix again."""
    sides = blocks.values.shape[1:]
    down, across = (cdiv(length, side) for length, side in zip(shape, sides, strict=True))
    rows = torch.arange(down, device=blocks.starts.device)
    rows = rows.repeat_interleave(blocks.starts.diff())
    tiles = blocks.values.new_zeros(down, across, *sides)
    tiles[rows, blocks.columns.long()] = blocks.values
    matrix = tiles.transpose(1, 2).reshape(down * sides[0], across * sides[1])
    return matrix[: shape[0], : shape[1]]


def _bytes(tiles: torch.Tensor, itemsize: int) -> int:
    block = tiles[0, 0].numel() * itemsize + 4
    return int(tiles.any(3).any(2).sum()) * block + 4 * len(tiles)
