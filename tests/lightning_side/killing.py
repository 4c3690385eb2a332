"""Runs that an exception ends and that are taken up again, inside one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from pruneflow import ExactCheckpoint, RecipeCallback
from pruneflow.checkpoint import newest_checkpoint
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

BEFORE, EVENTS, VALIDATION = "before the batch", "before the events", "at validation"


class KilledError(Exception):
    """Stands for the end of a process."""


class Kill(pl.Callback):
    """Raises at a step: as its batch begins, or after its update and before its events."""

    def __init__(self, recipe: RecipeCallback, step: int, place: str) -> None:
        self.recipe, self.step, self.place = recipe, step, place

    def _strike(self, place: str, step: int) -> None:
        if (self.step, self.place) == (step, place):
            raise KilledError

    def on_train_batch_start(self, trainer: Any, m: Any, batch: Any, index: int) -> None:
        self._strike("before the batch", self.recipe.clock)

    def on_train_batch_end(self, trainer: Any, m: Any, o: Any, batch: Any, index: int) -> None:
        self._strike("before the events", self.recipe.clock + 1)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self._strike("at validation", self.recipe.clock)


def run(
    folder: Path,
    kill: tuple[int, str] | None = None,
    tree: Any = toy.TICKETS,
    scheduler: str = "plateau",
    every: int = 4,
    loader: Callable[[], Any] = toy.Batches,
    module: Callable[..., Any] = toy.Toy,
    recipe_first: bool = True,
    trainer: Any = pl.Trainer,
    others: Callable[[], Sequence[Any]] = list,
    **options: Any,
) -> dict[str, Any] | None:
    """Train from the folder's newest checkpoint; the fingerprint, or None if killed.

    Other callbacks are made anew for every life.
    """
    recipe = RecipeCallback(build(tree))
    callbacks: list[Any] = [recipe, ExactCheckpoint(folder, every)]
    if not recipe_first:
        callbacks.reverse()
    callbacks += others()
    if kill is not None:
        callbacks.insert(0, Kill(recipe, *kill))
    last = newest_checkpoint(folder)
    seed = 1 if last is None else 1000  # nobody has to seed a resumed process like the first
    try:
        fitted, trained = toy.fit(
            callbacks,
            lambda: module(scheduler),
            loader(),
            last,
            seed,
            kind=trainer,
            **options,
        )
    except KilledError:
        return None
    assert kill is None, "the kill was to come first"
    return toy.fingerprint(fitted, trained, recipe)


def require_exact(kills: list[tuple[int, str]], **options: Any) -> None:
    """A run that is killed at these places ends like one that is not."""
    options = {"max_epochs": 4, **options}
    straight = run(Path("straight"), **options)
    for kill in kills:
        assert run(Path("killed"), kill, **options) is None
    resumed = run(Path("killed"), **options)
    assert straight is not None
    assert straight["complete"]
    assert resumed == straight
