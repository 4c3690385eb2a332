"""The learning rates that a module's own schedulers give, played without training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningModule

from pruneflow.timeline import Horizon

MAX_PLAYED = 1_000_000
"""A scheduler is played for at most so many steps; the rates of longer runs are not known."""


def own_rates(
    model: LightningModule,
    horizon: Horizon,
    accumulate: int = 1,
    batches: int | None = None,
    processes: int = 1,
) -> list[float]:
    """The rate that the module's own schedulers give to every update, or would give to the first.

    A scheduler that waits for a metric stays where it begins. Empty where the module's
    optimizers cannot be built without a trainer, or where schedulers would have to be played
    for more than ``MAX_PLAYED`` steps. A rate that never changes is given at most that often.

    Args:
        model: Configures the optimizers; its weights are not touched.
        horizon: Updates in an epoch and in the run.
        accumulate: Batches to an update.
        batches: Batches in an epoch; by default as many as the updates take.
        processes: How many train together.
    """
    total, each = horizon.total or 0, horizon.steps_per_epoch
    batches = batches or each * accumulate
    try:
        model.trainer = _StandIn(total, math.ceil(total / each), processes)  # type: ignore[assignment]
        optimizers, schedulers = _unpack(model.configure_optimizers())
        group = optimizers[0].param_groups[0]
        if total > MAX_PLAYED:
            return [] if schedulers else [float(group["lr"])] * MAX_PLAYED
        rates = []
        for step in range(max(total, 1)):
            rates.append(float(group["lr"]))
            epoch, update = divmod(step, each)
            batch = min((update + 1) * accumulate, batches)
            for scheduler in schedulers:
                scheduler.play(batch, epoch + 1 if update == each - 1 else None)
    except Exception:  # a person's own code meets a trainer that is not there
        return []
    return rates


@dataclass(frozen=True)
class _Scheduler:
    """A scheduler, and when Lightning steps it: after batches of an epoch, or after epochs."""

    scheduler: Any
    interval: str
    frequency: int

    def play(self, batch: int, epoch: int | None) -> None:
        """Step it if that is due after a batch that made an update.

        Args:
            batch: Batches of this epoch so far.
            epoch: Epochs so far, at the end of one.
        """
        count = batch if self.interval == "step" else epoch
        if count is not None and count % self.frequency == 0:
            self.scheduler.optimizer._opt_called = True  # no update is ever made here
            self.scheduler.step()


class _StandIn:
    """What a module may ask of its trainer before training."""

    def __init__(self, steps: int, epochs: int, processes: int) -> None:
        self.estimated_stepping_batches = steps
        self.max_steps = steps
        self.max_epochs = epochs
        self.num_training_batches = steps // max(epochs, 1)
        self.accumulate_grad_batches, self.world_size = 1, processes
        self.current_epoch = self.global_step = 0


def _unpack(configured: Any) -> tuple[list[torch.optim.Optimizer], list[_Scheduler]]:
    """Optimizers, and schedulers with their interval, of what ``configure_optimizers`` gave."""
    if isinstance(configured, torch.optim.Optimizer):
        return [configured], []
    if isinstance(configured, dict):
        found = configured.get("lr_scheduler")
        return [configured["optimizer"]], _schedulers([found] if found else [])
    if isinstance(configured, tuple) and len(configured) == 2 and isinstance(configured[0], list):
        return list(configured[0]), _schedulers(configured[1])
    optimizers, schedulers = [], []
    for entry in configured:
        more, theirs = _unpack(entry)
        optimizers += more
        schedulers += theirs
    return optimizers, schedulers


def _schedulers(entries: Any) -> list[_Scheduler]:
    plain = [entry if isinstance(entry, dict) else {"scheduler": entry} for entry in entries]
    return [
        _Scheduler(entry["scheduler"], entry.get("interval", "epoch"), entry.get("frequency", 1))
        for entry in plain
        if not isinstance(entry["scheduler"], torch.optim.lr_scheduler.ReduceLROnPlateau)
    ]
