"""Law 6: from any checkpoint PruneFlow writes, a run ends bit-identical, or it says why not.

The kills are exceptions inside one process; ``test_kill.py`` has real ones.
"""

from __future__ import annotations

import importlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import StochasticWeightAveraging
from torch.utils.data import DataLoader, Dataset

from tests.lightning_side import toy
from tests.lightning_side.killing import BEFORE, EVENTS, VALIDATION, require_exact

pytestmark = [
    pytest.mark.filterwarnings(toy.LIGHTNING_NOISE),
    pytest.mark.filterwarnings(toy.FEW_WORKERS),
]


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([(2, BEFORE)], id="before the first checkpoint"),
        pytest.param([(6, EVENTS), (7, BEFORE)], id="at the snapshot"),
        pytest.param([(18, EVENTS), (18, BEFORE)], id="at a rewind"),
        pytest.param([(9, BEFORE), (21, BEFORE), (33, EVENTS)], id="inside each round"),
        pytest.param([(12, EVENTS), (12, VALIDATION), (12, BEFORE)], id="at an epoch's end"),
        pytest.param([(30, EVENTS), (31, EVENTS), (32, BEFORE)], id="one after the other"),
        pytest.param([(41, BEFORE), (47, BEFORE)], id="near the end"),
        pytest.param([(48, VALIDATION)], id="in the last validation"),
    ],
)
def test_wherever_it_is_killed(kills: list[tuple[int, str]]) -> None:
    require_exact(kills)


KILLS = [(7, BEFORE), (21, EVENTS), (24, BEFORE), (39, BEFORE)]


@pytest.mark.parametrize("scheduler", toy.SCHEDULERS)
def test_whatever_the_scheduler(scheduler: str) -> None:
    require_exact(KILLS, scheduler=scheduler)


LENT = {
    "modifiers": {
        **toy.TICKETS["modifiers"],
        "lr": {"type": "lr", "schedule": "cosine", "factor": 0.1, "start": "8st"},
        "freeze": {"type": "freeze_mask", "start": "imp.end"},
    }
}

CONTROL = {
    "modifiers": {
        "imp": {"type": "iterative_prune", "rounds": 2, "every": "1ep", "control": "random_reinit"}
    }
}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"val_check_interval": 0.25}, id="four validations an epoch"),
        pytest.param({"val_check_interval": 5}, id="validations off the epoch's end"),
        pytest.param(
            {"val_check_interval": 7, "check_val_every_n_epoch": None, "every": 1},
            id="validations across epochs",
        ),
        pytest.param({"check_val_every_n_epoch": 2, "scheduler": "step"}, id="every other epoch"),
        pytest.param({"max_steps": 45, "max_epochs": -1}, id="max_steps"),
        pytest.param({"max_steps": 48, "max_epochs": -1}, id="max_steps at an epoch's end"),
        pytest.param({"max_steps": -1, "max_epochs": -1}, id="as long as the recipe"),
        pytest.param({"every": 1}, id="saved at every step"),
        pytest.param({"every": 0}, id="saved at ends of epochs"),
        pytest.param({"tree": toy.GRADUAL}, id="gradual"),
        pytest.param({"tree": LENT, "scheduler": "step"}, id="lent rates"),
        pytest.param({"tree": CONTROL}, id="control"),
        pytest.param({"precision": "bf16-mixed"}, id="bf16-mixed"),
        pytest.param({"limit_val_batches": 0, "scheduler": "none"}, id="no validation"),
    ],
)
def test_however_it_trains(options: Any) -> None:
    require_exact(KILLS, **options)


@pytest.mark.parametrize("batches", [3, 5])
def test_accumulated_gradients(batches: int) -> None:
    """Five batches do not divide an epoch: its last update takes two."""
    steps = -(-toy.STEPS // batches)
    kills = [(steps - 1, BEFORE), (2 * steps + 1, EVENTS), (4 * steps, BEFORE)]
    require_exact(kills, accumulate_grad_batches=batches, every=1, max_epochs=12)


@pytest.mark.parametrize("kill", [7, 30, 39])
def test_averaged_weights(kill: int) -> None:
    """Lightning begins to average at the third epoch, and ends with one more."""
    average = partial(StochasticWeightAveraging, 5e-3, swa_epoch_start=2)
    options: Any = {"scheduler": "none", "tree": toy.GRADUAL, "every": 1}
    require_exact([(kill, BEFORE)], others=lambda: [average()], **options)


class Watched(toy.Toy):
    """Counts its validations."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.register_buffer("seen", torch.zeros(()))

    def on_validation_epoch_end(self) -> None:
        self.seen += 1


@pytest.mark.parametrize("every", [1, 7])
def test_no_validation_is_left_out_across_epochs(every: int) -> None:
    options: Any = {"val_check_interval": 7, "check_val_every_n_epoch": None, "every": every}
    require_exact([(15, BEFORE)], module=Watched, tree=toy.GRADUAL, **options)


class Augmented(Dataset[Any]):
    """Draws noise from numpy in the process that loads."""

    def __init__(self) -> None:
        self.x, self.y = toy.samples()

    def __len__(self) -> int:
        return toy.SAMPLES

    def __getitem__(self, index: int) -> Any:
        noise = np.random.rand(toy.FEATURES).astype(np.float32)
        return self.x[index] + torch.from_numpy(noise), self.y[index]


def _own_generator() -> Any:
    return toy.shuffled(generator=torch.Generator().manual_seed(5))


def _augmented() -> Any:
    return DataLoader(Augmented(), toy.BATCH, shuffle=True)


def _workers() -> Any:
    return DataLoader(Augmented(), toy.BATCH, shuffle=True, num_workers=2)


@pytest.mark.parametrize("limits", [{}, {"max_steps": 48, "max_epochs": -1}], ids=["ep", "st"])
@pytest.mark.parametrize("loader", [toy.shuffled, _own_generator, _augmented])
def test_plain_loaders_at_ends_of_epochs(loader: Any, limits: Any) -> None:
    require_exact([(9, BEFORE), (24, BEFORE), (39, BEFORE)], loader=loader, **limits)
    names = sorted(path.name for path in Path("straight").iterdir())
    assert names == ["step00000036.ckpt", "step00000048.ckpt"]


def test_two_workers_at_ends_of_epochs() -> None:
    require_exact([(15, BEFORE), (39, BEFORE)], loader=_workers)


class Rarely(toy.Toy):
    """Logs a mean in every other batch of the first half of an epoch."""

    def training_step(self, batch: Any, index: int) -> Any:
        loss = super().training_step(batch, index)
        if index < toy.STEPS / 2 and index % 2 == 0:
            self.log("rare", loss, on_step=False, on_epoch=True)
        return loss


@pytest.mark.parametrize("step", [39, 40, 46])
def test_metrics_that_are_not_logged_in_every_batch(step: int) -> None:
    """At step 46 the metric has been logged for the last time of its epoch."""
    require_exact([(step, BEFORE)], module=Rarely, every=1)


class Afterwards(toy.Toy):
    """Does something once every callback has had its turn."""

    def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
        self.log("late", outputs["loss"], on_step=False, on_epoch=True)


@pytest.mark.parametrize("trainer", ["pytorch_lightning", "lightning.pytorch"])
@pytest.mark.parametrize("first", [True, False], ids=["recipe first", "checkpoint first"])
def test_in_whatever_order_the_callbacks_are_given(trainer: str, first: bool) -> None:
    """Lightning moves checkpoint callbacks to the end, but only those of its own package."""
    kind = toy.Toy if trainer == "pytorch_lightning" else toy.other_toy()
    own = trainer == "pytorch_lightning"  # else it does not know ours, and would add one
    options = {"module": kind, "recipe_first": first, "every": 1, "enable_checkpointing": own}
    require_exact(KILLS, **options, trainer=importlib.import_module(trainer).Trainer)


def test_what_a_module_does_after_the_save_is_not_lost() -> None:
    """Its ``on_train_batch_end`` runs after those of callbacks: only ends of epochs are exact."""
    require_exact(KILLS, module=Afterwards)
    names = sorted(path.name for path in Path("straight").iterdir())
    assert names == ["step00000036.ckpt", "step00000048.ckpt"]
