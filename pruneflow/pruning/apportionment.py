"""Whole numbers in proportion to shares, with an exact total."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import heapify, heappop, heappush

_GRAIN = 1 << 20  # levels in one step of the rate; between two of them few units are left over


def spread(total: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Divide ``total`` in proportion to ``shares``, exactly (largest remainder, then order)."""
    whole = sum(shares.values()) or 1
    parts = {name: total * share // whole for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: -(total * shares[name] % whole))
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


@dataclass(frozen=True)
class Claim:
    """What one part of a whole asks for.

    Attributes:
        share: Its part is to be in proportion to this; from 1.
        least: Units it has in any case.
        most: Units it has at most.
        unit: What one unit counts of the whole.
    """

    share: int
    least: int
    most: int
    unit: int = 1

    def at(self, level: int) -> int:
        """Units at a rate of ``level / _GRAIN``: the nearest number to ``rate * share / unit``."""
        half = _GRAIN * self.unit
        return min(max((2 * level * self.share + half) // (2 * half), self.least), self.most)

    def rate(self, units: int) -> Fraction:
        """The rate from which on it has so many."""
        return Fraction((2 * units - 1) * self.unit, 2 * self.share)


def apportion(total: int, claims: Sequence[Claim]) -> list[int]:
    """Divide a whole in proportion to shares, between bounds, as Webster and Sainte-Laguë do.

    All parts are rounded at one common rate, so that a larger total takes no unit from anybody
    (with the largest remainder it may: the paradox of Alabama). Of equal claims the first has
    the unit that is left over.

    Args:
        total: What the units together are to count; where units count more than one, they come
            as near to it as they can in their turn.
        claims: Their least together is no more than the total.

    Returns:
        The units of each claim.
    """

    def filled(level: int) -> int:
        return sum(claim.unit * claim.at(level) for claim in claims)

    top = max(int(claim.rate(claim.most + 1)) + 1 for claim in claims) * _GRAIN
    level = bisect_right(range(top), total, key=filled) - 1
    units = [claim.at(level) for claim in claims]
    rest = total - filled(level)
    turns = [
        (claim.rate(have + 1), place)
        for place, (claim, have) in enumerate(zip(claims, units, strict=True))
        if have < claim.most
    ]
    heapify(turns)
    while turns:
        _, place = heappop(turns)
        claim = claims[place]
        if 2 * rest <= claim.unit:
            break
        units[place] += 1
        rest -= claim.unit
        if units[place] < claim.most:
            heappush(turns, (claim.rate(units[place] + 1), place))
    return units
