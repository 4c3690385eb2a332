"""The Pareto front: what nothing else beats in cost and in score at once."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]
"""A cost, better when low, and a score, better when high."""


def front(points: Sequence[Point]) -> list[int]:
    """The places of the points that no other point dominates, cheapest first.

    One point dominates another if it is no worse in both and better in one; equal points all stay.
    """
    order = sorted(range(len(points)), key=lambda place: (points[place][0], -points[place][1]))
    chosen: list[int] = []
    for place in order:
        if not chosen or points[place][1] > points[chosen[-1]][1] or (
            points[place] == points[chosen[-1]]
        ):  # fmt: skip
            chosen.append(place)
    return chosen
