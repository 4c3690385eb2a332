"""How many batches make an update, where a callback may change it from epoch to epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pruneflow.errors import PlanError, Problem
from pruneflow.namespaces import kinds

SCHEDULER = "GradientAccumulationScheduler"


def batches_per_update(callbacks: Iterable[Any], setting: int, max_epochs: int | None) -> int:
    """Batches of one update in every epoch of a run.

    Args:
        callbacks: The trainer's; a scheduler sets its own number when an epoch begins.
        setting: The trainer's own number.
        max_epochs: The run's length; None or -1 where it has none.

    Raises:
        PlanError: Epochs of the run differ, so that no time in epochs can be a step.
    """
    for callback in callbacks:
        if SCHEDULER not in kinds(type(callback)):
            continue
        endless = max_epochs in (None, -1)
        begins = [epoch for epoch in callback.epochs if endless or epoch < (max_epochs or 1)]
        numbers = {epoch: callback.get_accumulate_grad_batches(epoch) for epoch in begins}
        if len(set(numbers.values())) > 1:
            told = ", ".join(f"{number} from epoch {epoch}" for epoch, number in numbers.items())
            text = (
                f"{type(callback).__name__} changes how many batches make an update ({told}), and "
                "a recipe counts epochs of one length in updates: remove it, and write "
                "Trainer(accumulate_grad_batches=N)"
            )
            raise PlanError(Problem("", text))
        setting = next(iter(numbers.values()))
    return setting
