"""The search for the sparsest network within a budget of accuracy: bisection, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pruneflow.training.budget import Budget

SPARSEST = 0.99


@dataclass(frozen=True)
class Trial:
    """A network that was tried.

    Attributes:
        asked: The sparsity that it was asked for.
        drop: Points of accuracy that it has lost on validation data; None where the recipe
            cannot make it so sparse.
    """

    asked: float
    drop: float | None


def bisected(
    trials: Sequence[Trial], budget: Budget, sparsest: float = SPARSEST
) -> tuple[float | None, float | None]:
    """Halve, in the logarithm of the density, what lies between too dense and too sparse.

    Args:
        trials: What was tried so far, in any order.
        budget: What is asked for.
        sparsest: Nothing sparser is tried.

    Returns:
        The sparsity to try next, or None when the search is over; and the sparsest one so far
        that is within the budget, or None.
    """
    drops = {trial.asked: trial.drop for trial in trials}
    within, beyond = 0.0, math.log10(1 - sparsest)
    best = None
    for _ in range(budget.runs):
        middle = (within + beyond) / 2
        asked = round(1 - 10**middle, 4)
        if asked not in drops:
            return asked, best
        drop = drops[asked]
        if drop is not None and drop <= budget.max_drop:
            within, best = middle, asked
        else:
            beyond = middle
    return None, best


def perhaps_next(trials: Sequence[Trial], budget: Budget, depth: int = 2) -> list[float]:
    """The sparsities that the search may try after the next one, however that comes out."""
    asked, _ = bisected(trials, budget)
    if asked is None or not depth:
        return []
    found: list[float] = []
    for drop in (0.0, None):
        after = [*trials, Trial(asked, drop)]
        following, _ = bisected(after, budget)
        if following is not None:
            found += [following, *perhaps_next(after, budget, depth - 1)]
    return list(dict.fromkeys(found))
