"""What a person sees while it trains."""

from __future__ import annotations

import sys
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar
from rich.console import Console

from pruneflow.callback import RecipeCallback


def phase(recipe: RecipeCallback) -> str:
    """What the recipe is doing, in a few words."""
    if recipe.plan is None:
        return ""
    prunings = [event for event in recipe.plan.events if event.quota is not None]
    past = [event for event in prunings if event.step <= recipe.clock]
    if not prunings:
        return "fine-tune"
    return past[-1].label if past else "dense"


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
        return {"phase": phase(self.recipe), **metrics}


class Narrator(Callback):
    """One line at each validation, where there is no terminal to draw a bar on."""

    def __init__(self, recipe: RecipeCallback, console: Console) -> None:
        self.recipe = recipe
        self.console = console

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
            f"step {self.recipe.clock}/{plan.total}  {phase(self.recipe)}  "
            f"sparsity {engine.sparsity:.2%}  lr {engine.rate:.3g}  {metrics}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def progress(recipe: RecipeCallback, console: Console) -> Any:
    """A bar on a terminal, lines elsewhere."""
    return PhaseBar(recipe) if sys.stdout.isatty() else Narrator(recipe, console)
