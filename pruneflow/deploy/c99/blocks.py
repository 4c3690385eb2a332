"""Which outputs of a convolution are summed at once: as many as registers hold.

Each weight is read once for all of them, so that what it costs to find it hardly counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

ROWS = {16: 1, 8: 2, 4: 4, 1: 4}
"""How many rows are summed at once, by how many columns; what is left goes row by row."""

WIDE = {64: 1, 16: 4, 8: 8}
"""The same where registers are wide: eight of them, so that no sum waits for the one before."""


@dataclass(frozen=True, order=True)
class Block:
    """Neighbouring outputs.

    Attributes:
        columns: Of a row.
        rows: One below the other.
        is_wide: Whether it is for wide registers only.
    """

    columns: int
    rows: int
    is_wide: bool = False

    @property
    def label(self) -> str:
        """``2x8``: rows and columns."""
        return f"{self.rows}x{self.columns}"


def blocks_of(sides: Iterable[tuple[int, int]], most_rows: Mapping[int, int] = ROWS) -> list[Block]:
    """What outputs of these heights and widths are taken apart into, the largest first."""
    found = set()
    for height, width in sides:
        for columns, rows in most_rows.items():
            if width >= columns:
                found |= {Block(columns, rows)} if height >= rows else set()
                found |= {Block(columns, 1)} if height % rows else set()
            width %= columns
    return sorted(found, reverse=True)


def wide_blocks_of(sides: Iterable[tuple[int, int]]) -> list[Block]:
    """What is computed first where registers are wide."""
    found = set()
    for height, width in sides:
        for columns, rows in WIDE.items():
            found |= {Block(columns, rows, True)} if width >= columns and height >= rows else set()
            width %= columns
    return sorted(found, reverse=True)
