"""``SharingCheckpoint``: also keeps the points of a run that other runs will go on from."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from pruneflow import exact_resume, runfolder
from pruneflow.checkpoint import ExactCheckpoint, recipe_of
from pruneflow.lightning_trainer import undeclared
from pruneflow.training.csv_log import Record, before, table
from pruneflow.training.shared import store
from pruneflow.training.shared.work import Work

BEAT = 5.0
"""Seconds between two signs of life."""


@dataclass(frozen=True)
class _Saved:
    """A checkpoint for others that waits for the metrics of its last step."""

    place: Path
    step: int
    seconds: float
    part: Path


class SharingCheckpoint(ExactCheckpoint):
    """Saves as ``ExactCheckpoint`` does, and for others as near to the points they need as it can.

    Args:
        folder: See ``ExactCheckpoint``.
        every_n_steps: Likewise.
        keep: Likewise.
        work: What others need.
        record: Everything that the run has logged.
    """

    def __init__(
        self, folder: Path, every_n_steps: int, keep: int, work: Work, record: Record
    ) -> None:
        super().__init__(folder, every_n_steps, keep)
        self.work = work
        self.record = record
        self._wanted: dict[int, list[Path]] = {}
        self._kept: list[_Saved] = []
        self._began = self._beaten = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See base class."""
        super().on_train_start(trainer, pl_module)
        self._began = time.process_time()
        for until, place in self.work.places.items():
            step = self._step_until(trainer, until)
            if step > self._saved_at:
                self._wanted.setdefault(step, []).append(place)
            else:
                self.work.let_go(place)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Publish what was saved: by now everything up to there is logged."""
        while self._kept:
            self._hand_on(self._kept.pop())
        if self._wanted and time.monotonic() > self._beaten + BEAT:
            self._beaten = time.monotonic()
            for place in (place for places in self._wanted.values() for place in places):
                store.beat(place)
        super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See base class."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if exact_resume.is_followed_by_a_batch(trainer):
            self._keep(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See base class."""
        super().on_train_epoch_end(trainer, pl_module)
        self._keep(trainer)

    def _step_until(self, trainer: Trainer, until: int) -> int:
        """The last step up to another one after which a checkpoint can be exact."""
        mid_epoch, always = self._allowed
        if not always:
            return 0
        plan = recipe_of(trainer).plan
        assert plan is not None
        each = plan.horizon.steps_per_epoch
        first = until // each * each
        for step in range(until, first, -1) if mid_epoch else ():
            batches = (step - first) * undeclared(trainer).accumulate_grad_batches
            if not exact_resume.validates_at(trainer, first // each, batches):
                return step
        return first

    def _keep(self, trainer: Trainer) -> None:
        """Save this moment, if others need it."""
        for place in self._wanted.pop(recipe_of(trainer).clock, ()):
            part = runfolder.temporary(place / "checkpoint")
            seconds = self.work.seconds + time.process_time() - self._began
            try:
                trainer.save_checkpoint(part, False)
            except (OSError, RuntimeError) as error:  # torch's own, where a disk is full
                rank_zero_warn(f"nothing is kept for other runs: {error}")
                self.work.let_go(place)
                continue
            if self.generators is not None and self.generators.late:
                part.unlink()  # others would not go on from there with bits of their own
                self.work.let_go(place)
            else:
                self._kept.append(_Saved(place, recipe_of(trainer).clock, seconds, part))

    def _hand_on(self, saved: _Saved) -> None:
        metrics = runfolder.temporary(saved.place / "metrics")
        told = {**self.work.about, "step": saved.step, "cpu_seconds": round(saved.seconds, 3)}
        try:
            metrics.write_text(table(before(self.record.rows, saved.step)), encoding="utf-8")
            store.publish(saved.place, {"checkpoint": saved.part, "metrics": metrics}, told)
            store.trim(saved.place.parent.parent)
        except OSError as error:
            rank_zero_warn(f"nothing is kept for other runs: {error}")
        self.work.let_go(saved.place)
