"""What the bytes of a result mean: real = scale * (byte - zero).

Scales and zero points are of whole tensors, and 0 is one of the bytes exactly (Jacob et al. 2018,
arXiv:1712.05877, section 2.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LOWEST, HIGHEST = -128, 127
LEAST = 2.0**-100
"""The least scale: 256 steps of it, and one step in its stead, are normal float32 numbers."""
MARGIN = 1 + 2.0**-20
"""By how much a scale is made larger than what it must not be less than."""

Range = tuple[float, float]
"""The least and the largest number."""


@dataclass(frozen=True)
class Quantity:
    """The meaning of a tensor's bytes.

    Attributes:
        scale: Of one step; a float32 number.
        zero: The byte of 0.
    """

    scale: float
    zero: int

    @classmethod
    def of(cls, numbers: Range, least: float = 0.0) -> Quantity:
        """The finest one in which numbers of a range have bytes, and 0 has.

        Args:
            numbers: The range; rounding takes half a step of it at either end at most.
            least: What the scale has to be greater than.
        """
        low, high = min(numbers[0], 0.0), max(numbers[1], 0.0)
        widest = max((high - low) / (HIGHEST - LOWEST), LEAST, least * MARGIN)
        scale = float(np.float32(widest)) if high > low or least else 1.0
        zero = LOWEST + round(-low / scale)
        return cls(scale, min(max(zero, LOWEST), HIGHEST))

    def limits(self, activation: str | None) -> tuple[int, int]:
        """The least and the largest byte that an activation lets through."""
        low = LOWEST if activation is None else self.zero
        high = HIGHEST if activation != "relu6" else min(HIGHEST, self.zero + round(6 / self.scale))
        return low, high


def offset_of(quantity: Quantity, bits: int, low: int = LOWEST) -> int:
    """Half a step, and the steps from the least byte to that of 0, with bits behind the point."""
    return (2 * (quantity.zero - low) + 1) << bits >> 1


def quantities_json(quantities: Mapping[str, Quantity]) -> dict[str, dict[str, float | int]]:
    """As the report has them."""
    return {name: {"scale": one.scale, "zero": one.zero} for name, one in quantities.items()}
