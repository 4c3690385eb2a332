"""What modifiers have to say of scores that are gathered from gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pruneflow.modifiers.duties import Gathering
from pruneflow.modifiers.site import FieldError
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.gathering import GatheredScore


def gatherings(
    modifier: str, layers: tuple[str, ...], steps: Sequence[int], score: Any, key: str
) -> list[Gathering]:
    """The duty of gathering scores for events at these steps; none for scores of weights.

    Args:
        modifier: Its name.
        layers: The weights that are scored, by name.
        steps: Of the events, in order.
        score: What scores them, a ``GatheredScore`` or a function.
        key: Where the scores are kept.
    """
    if not isinstance(score, GatheredScore) or not steps:
        return []
    at = frozenset(step - 1 for step in steps) if score.since == "update" else None
    return [Gathering(modifier, 0, steps[-1], layers, score, key, at)]


def require_gradients(criterion: str, step: int) -> None:
    """Make sure that there is a gradient before the first event.

    Raises:
        FieldError: There is none.
    """
    if step < 1 and isinstance(CRITERIA[criterion], GatheredScore):
        raise FieldError(
            "criterion",
            f"'{criterion}' scores weights by gradients, and before the first update there are "
            "none: start later (1st), or use oneshot_prune",
        )
