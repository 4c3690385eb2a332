"""Products of whole numbers with real factors less than 1, in 32 bits, rounded down.

What is multiplied is never negative: half a step, and the steps from the least byte to that of 0,
are added before, so that rounding down rounds to the nearest and no negative number is shifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

MOST_SUM = 1 << 30
"""No sum is larger, nor less than its negative."""
MOST_SHIFT = 20
"""Of bits behind a point: 255 and as many fit a sum."""
BITS = 16
"""Of a factor: two products of 32 bits are then all that one of 48 takes."""


@dataclass(frozen=True)
class Rescale:
    """A factor, ``factor / 2 ** (BITS + shift)``.

    Attributes:
        factor: Of so many bits, the uppermost of which is set.
        shift: From 0.
    """

    factor: int
    shift: int

    @classmethod
    def of(cls, real: float) -> Rescale:
        """The nearest to a number between 0 and 1."""
        fraction, exponent = frexp(real)
        factor = round(fraction * 2**BITS)
        if factor == 1 << BITS:
            factor, exponent = (factor >> 1, exponent + 1) if exponent < 0 else (factor - 1, 0)
        return cls(factor, -exponent)

    @property
    def real(self) -> float:
        """The number."""
        return float(self.factor / 2.0 ** (BITS + self.shift))


@dataclass(frozen=True)
class Fixed:
    """Factors with one point: ``factor / 2 ** shift`` each.

    Attributes:
        factors: Whole numbers.
        shift: 0 to 20.
    """

    factors: tuple[int, ...]
    shift: int

    @classmethod
    def of(cls, *reals: float, bits: int) -> Fixed:
        """As near as so many bits allow, all of which the largest of the numbers takes."""
        shift = min(bits - frexp(max(reals))[1], MOST_SHIFT)
        assert shift >= 0, "a factor is too large"
        most = (1 << bits) - 1
        return cls(tuple(min(round(real * 2**shift), most) for real in reals), shift)


def steps(sums: Integers, factor: Integers, shift: Integers) -> Integers:
    """Sums, or 0 in the stead of negative ones, times ``factor / 2 ** (BITS + shift)``."""
    return (np.maximum(sums, 0) * factor) >> (BITS + shift)


def divided(values: Integers, by: Integers) -> Integers:
    """Values divided by whole numbers, halves rounded away from zero."""
    size: Integers = (np.abs(values) + by // 2) // by
    return np.where(values < 0, -size, size)
