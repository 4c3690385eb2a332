"""What a person sees while it trains."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar
from rich import get_console
from rich.console import Console

from pruneflow.callback import RecipeCallback

SECONDS = 1.0
"""How often a job of a sweep tells where it is."""

WIDE = 112
"""Columns of a terminal that has room for a bar beside the metrics."""


@dataclass(frozen=True)
class Watch:
    """Who looks on beside the person at the console.

    Attributes:
        name: Begins every line that is told of this run.
        tell: Told about once a second where the run is: ``phase``, ``epoch``, ``epochs``,
            ``sparsity``, ``accuracy`` of the last validation or None, ``left`` in seconds or
            None, and whether it ``resumed``.
    """

    name: str = ""
    tell: Callable[[Mapping[str, Any]], None] | None = None


NOBODY = Watch()


def phase(recipe: RecipeCallback) -> str:
    """What the recipe is doing, in a few words."""
    if recipe.plan is None:
        return ""
    prunings = [event for event in recipe.plan.events if event.changes_masks]
    past = [event for event in prunings if event.step <= recipe.clock]
    rewinds = any(event.action == "rewind" for event in recipe.plan.events)
    if prunings and not past:
        return "dense"
    return past[-1].label if len(past) < len(prunings) or (past and rewinds) else "fine-tune"


class PhaseBar(RichProgressBar):
    """Lightning's rich progress bar with the recipe's phase in it."""

    def __init__(self, recipe: RecipeCallback) -> None:
        super().__init__()
        self.recipe = recipe

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """See base class."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        ours = {"phase": phase(self.recipe), "sparsity": metrics.pop("recipe/sparsity", 0.0)}
        return {**ours, **metrics}

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Leave out what would stack the metrics on a narrow terminal."""
        description, bar, batches, left, _ = super().configure_columns(trainer)
        is_wide = get_console().width >= WIDE
        return [description, bar, batches, left] if is_wide else [description, batches]


class Narrator(Callback):
    """One line at each validation, where there is no terminal to draw a bar on."""

    def __init__(self, recipe: RecipeCallback, console: Console, name: str = "") -> None:
        self.recipe = recipe
        self.console = console
        self.name = name

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See base class."""
        engine, plan = self.recipe.engine, self.recipe.plan
        if engine is None or plan is None or trainer.sanity_checking:
            return
        metrics = " ".join(
            f"{name} {float(value):.4g}"
            for name, value in sorted(trainer.callback_metrics.items())
            if name.startswith("val")
        )
        self.console.print(
            f"{self.name}step {self.recipe.clock}/{plan.total}  {phase(self.recipe)}  "
            f"sparsity {engine.sparsity:.2%}  lr {engine.rate:.3g}  {metrics}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


class Teller(Callback):
    """Tells somebody who looks on from elsewhere where the run is."""

    def __init__(self, recipe: RecipeCallback, tell: Callable[[Mapping[str, Any]], None]) -> None:
        self.recipe = recipe
        self.tell = tell
        self._began = (0, 0.0)
        self._told = -math.inf

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count, perhaps in the middle of a run."""
        self._began = (self.recipe.clock, time.monotonic())
        self._tell(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See base class."""
        if time.monotonic() >= self._told + SECONDS:
            self._tell(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See base class."""
        if self.recipe.engine is not None and not trainer.sanity_checking:
            self._tell(trainer)

    def _tell(self, trainer: Trainer) -> None:
        engine, plan, now = self.recipe.engine, self.recipe.plan, time.monotonic()
        assert engine is not None and plan is not None
        clock, each = self.recipe.clock, plan.horizon.steps_per_epoch
        first, since = self._began
        self._told = now
        self.tell(
            {
                "phase": phase(self.recipe),
                "epoch": min(clock, plan.total - 1) // each + 1,
                "epochs": math.ceil(plan.total / each),
                "sparsity": engine.sparsity,
                "accuracy": _accuracy(trainer),
                "left": (plan.total - clock) * (now - since) / (clock - first)
                if clock > first
                else None,
                "resumed": first > 0,
            }
        )


def progress(recipe: RecipeCallback, console: Console, watch: Watch) -> list[Callback]:
    """A bar on a terminal, lines elsewhere; and whoever else looks on."""
    shown = PhaseBar(recipe) if sys.stdout.isatty() else Narrator(recipe, console, watch.name)
    return [shown] if watch.tell is None else [shown, Teller(recipe, watch.tell)]


def _accuracy(trainer: Trainer) -> float | None:
    """The last validation's accuracy, by whatever name the module logs it."""
    for name, value in sorted(trainer.callback_metrics.items()):
        if name.startswith("val") and "acc" in name and value.numel() == 1:
            return float(value)
    return None
