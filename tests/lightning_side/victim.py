"""A training process that kills itself with SIGKILL: ``python -m tests.lightning_side.victim``.

Arguments: the folder, then where to die: ``none``, ``step N`` (as the batch after step N
begins), ``write N`` (half-way through the bytes of the checkpoint of step N or later) or
``publish N`` (whole, but before it got its name). Prints the fingerprint where it survives.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from pruneflow import ExactCheckpoint, RecipeCallback, checkpoint
from pruneflow.recipe.schema import build
from tests.lightning_side import toy


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class AtStep(pl.Callback):
    def __init__(self, recipe: RecipeCallback, step: int) -> None:
        self.recipe, self.step = recipe, step

    def on_train_batch_start(self, *_: Any) -> None:
        if self.recipe.clock == self.step:
            die()


def main(folder: Path, place: str, step: int) -> None:
    warnings.simplefilter("ignore")
    recipe = RecipeCallback(build(toy.TICKETS))
    real = checkpoint.publish

    def publish(part: Path, path: Path) -> None:
        if place in ("write", "publish") and recipe.clock >= step:
            if place == "write":
                os.truncate(part, part.stat().st_size // 2)
            die()
        real(part, path)

    checkpoint.publish = publish
    callbacks = [recipe, ExactCheckpoint(folder, 4)]
    if place == "step":
        callbacks.insert(0, AtStep(recipe, step))
    last = checkpoint.newest_checkpoint(folder)
    seed = 1 if last is None else os.getpid()
    run, module = toy.fit(callbacks, lambda: toy.Toy("plateau"), None, last, seed, max_epochs=4)
    print(json.dumps({"from": last and last.name, **toy.fingerprint(run, module, recipe)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
