"""Weights of layers as a few rectangles: rows of about as many weights lie in one together.

A rectangle is known when the kernel is compiled, so that nothing has to be looked up: where a row
lies follows from its number. Shorter rows are filled with zeros that read what the row's last
weight reads; rows without any weight have a rectangle without columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from pruneflow.deploy.kernels.language import cdiv

MOST_RECTANGLES = 4
EACH = 2048
"""How many products with padding a further rectangle has to save, since it takes time itself."""


@dataclass(frozen=True)
class Rectangle:
    """Some rows of a weight.

    Attributes:
        rows: Their numbers.
        places: (rows, width): where a weight's input lies, from where the row's inputs begin.
        values: (rows, width): the weights.
    """

    rows: torch.Tensor
    places: torch.Tensor
    values: torch.Tensor

    @property
    def width(self) -> int:
        """Weights of each row, padding included."""
        return self.places.shape[1]


def rectangles(
    weight: torch.Tensor, places: torch.Tensor, most_unit: int, positions: int
) -> list[Rectangle]:
    """Lay a weight out.

    Args:
        weight: (rows, columns), its zeros in place.
        places: (rows, columns) or what expands to it: where inputs lie.
        most_unit: A power of two; widths are multiples of it, or of a smaller one for short rows.
        positions: How many times every row is multiplied by.
    """
    mask = weight != 0
    counts = mask.sum(1)
    unit = most_unit
    while unit > 1 and unit > counts.float().mean() / 2:
        unit //= 2
    widths = (counts + unit - 1) // unit * unit
    bounds = _bounds(widths, cdiv(EACH, positions))
    found, least = [], -1
    for most in bounds:
        rows = ((widths > least) & (widths <= most)).nonzero().flatten()
        found.append(_rectangle(weight, places.expand_as(weight), mask, rows, most))
        least = most
    return found


def _rectangle(
    weight: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, rows: torch.Tensor, width: int
) -> Rectangle:
    mask = mask[rows]
    order = mask.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    last = (mask.sum(1, keepdim=True) - 1).clamp(min=0)
    rank = torch.arange(width).expand(len(rows), width)
    columns = order.gather(1, torch.minimum(rank, last))
    values = weight[rows].gather(1, columns)
    return Rectangle(rows, places[rows].gather(1, columns), torch.where(rank > last, 0, values))


def _bounds(widths: torch.Tensor, each: int) -> list[int]:
    """Widths of rectangles, rising, that waste little, by dynamic programming."""
    distinct, rows = (each.tolist() for each in widths.unique(return_counts=True))
    free = [0] if distinct[0] == 0 else []
    if free:
        distinct, rows = distinct[1:], rows[1:]
    best: list[tuple[int, list[int]]] = [(0, [])]
    for end in range(1, len(distinct) + 1):
        options, below = [], 0
        for start in reversed(range(end)):
            below += rows[start]
            cost, bounds = best[start]
            if len(bounds) < MOST_RECTANGLES:
                area = below * distinct[end - 1] + each
                options.append((cost + area, [*bounds, distinct[end - 1]]))
        best.append(min(options))
    return [*free, *best[-1][1]]
