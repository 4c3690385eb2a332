"""What a Lightning trainer tells the recipe, and what other callbacks must not get wrong."""

from __future__ import annotations

import math
from typing import Any

import torch
from pytorch_lightning import Trainer
from torch import nn

from pruneflow.errors import PlanError, Problem
from pruneflow.timeline import Horizon


def undeclared(trainer: Trainer) -> Any:
    """The trainer, for what its connectors set and its class does not declare."""
    return trainer


def horizon(
    trainer: Trainer, steps_per_epoch: int | None = None, max_epochs: int | None = None
) -> Horizon:
    """The trainer's clock: updates in an epoch, and in the whole run unless it has no end.

    Args:
        trainer: A trainer whose ``fit`` has begun.
        steps_per_epoch: Replaces what the loader's length says.
        max_epochs: Replaces the trainer's.

    Raises:
        PlanError: The length of an epoch is unknown, or not the one given.
    """
    trainer.fit_loop.setup_data()
    batches = trainer.num_training_batches
    if math.isfinite(batches):
        found = max(1, math.ceil(batches / trainer.accumulate_grad_batches))
    elif steps_per_epoch is None:
        mend = "pass RecipeCallback(..., steps_per_epoch=N)"
        raise PlanError(Problem("", f"the training loader has no length: {mend}"))
    else:
        found = steps_per_epoch
    is_automatic = trainer.lightning_module.automatic_optimization
    checked = is_automatic and not undeclared(trainer).fast_dev_run
    if steps_per_epoch is None:
        steps_per_epoch = found
    elif checked and found != steps_per_epoch:
        text = f"steps_per_epoch is {steps_per_epoch}, but the training loader makes {found}"
        raise PlanError(Problem("", f"{text} updates an epoch"))
    limits = []
    if trainer.max_steps != -1:
        limits.append(trainer.max_steps)
    max_epochs = trainer.max_epochs if max_epochs is None else max_epochs
    if max_epochs is not None and max_epochs != -1:
        limits.append(max_epochs * steps_per_epoch)
    return Horizon(steps_per_epoch, min(limits) if limits else None)


def averages(trainer: Trainer) -> list[nn.Module]:
    """Averaged copies of the weights that callbacks keep (EMA, SWA)."""
    found = [getattr(callback, "_average_model", None) for callback in callbacks(trainer)]
    return [average for average in found if average is not None]


def forget_rankings(trainer: Trainer) -> None:
    """Make a ``best`` checkpoint compete among networks of one mask only.

    Earlier files stay until better ones of the new mask take their places.
    """
    for callback in callbacks(trainer):
        if getattr(callback, "monitor", None) is not None and hasattr(callback, "best_k_models"):
            worst = torch.tensor(math.inf if callback.mode == "min" else -math.inf)
            callback.best_k_models = dict.fromkeys(callback.best_k_models, worst)
            callback.best_model_score = callback.current_score = None
            callback.kth_value = worst


def refuse_early_stopping(trainer: Trainer, recipe: str) -> None:
    """Refuse to rewind under early stopping, which would end the run in its second round.

    Raises:
        PlanError: The trainer has an ``EarlyStopping``, of either namespace.
    """
    for callback in callbacks(trainer):
        if "EarlyStopping" in {cls.__name__ for cls in type(callback).__mro__}:
            text = (
                f"recipe '{recipe}' rewinds, which early stopping takes for a loss of accuracy: "
                "remove EarlyStopping"
            )
            raise PlanError(Problem("", text))


def callbacks(trainer: Trainer) -> list[Any]:
    """The trainer's callbacks, of either namespace."""
    return list(undeclared(trainer).callbacks)
