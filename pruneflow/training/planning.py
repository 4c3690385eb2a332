"""Compile a run's plan without training, and as a rule without reading data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningDataModule, LightningModule

from pruneflow.errors import ConfigError
from pruneflow.pruning.scope import find_layers
from pruneflow.recipe.compiler import compile_plan
from pruneflow.recipe.plan import Plan
from pruneflow.timeline import Horizon
from pruneflow.training.config import RunConfig


@dataclass(frozen=True)
class Preview:
    """A plan, and the learning rates it will lead to.

    Attributes:
        plan: What happens when.
        own_rates: The module's own rate at each step of the learning-rate clock; empty where it
            cannot be known without training.
    """

    plan: Plan
    own_rates: list[float]

    @property
    def rates(self) -> list[float]:
        """The rate of every update, or nothing."""
        return self.plan.rates(self.own_rates) if self.own_rates else []

    def to_dict(self) -> dict[str, Any]:
        """What ``plan.json`` holds: the plan, and rates as (step, rate) where they change."""
        tree = self.plan.to_dict()
        rates, last = self.rates, self.plan.total - 1
        for event in tree["events"]:
            event["lr"] = rates[min(event["step"], last)] if rates else None
        own = [self.own_rates[self.plan.rate_clock(step)] for step in range(len(self.own_rates))]
        return {**tree, "rates": _changes(rates), "own_rates": _changes(own)}


def _changes(rates: list[float]) -> list[tuple[int, float]]:
    return [(s, rate) for s, rate in enumerate(rates) if s == 0 or rate != rates[s - 1]]


def preview(config: RunConfig) -> Preview:
    """Compile a configuration's recipe for its model and data.

    Raises:
        PlanError: The recipe does not fit.
        ConfigError: The model or the data cannot be built.
    """
    model = config.meta_model()
    horizon = horizon_of(config, config.data())
    plan = compile_plan(config.recipe, find_layers(model), horizon)
    return Preview(plan, own_rates(model, plan.horizon))


def horizon_of(config: RunConfig, data: LightningDataModule) -> Horizon:
    """Steps an epoch and, where the configuration sets it, the run's total.

    Steps come from ``steps_per_epoch``, else from the data module's ``num_samples`` and
    ``batch_size``, else from the length of its loader, which loads the data.
    """
    trainer = config.values["trainer"]
    steps = config.values["steps_per_epoch"]
    if steps is None:
        if hasattr(data, "num_samples") and hasattr(data, "batch_size"):
            batches: float = math.ceil(data.num_samples("train") / data.batch_size)
        else:
            batches = _loader_length(data)
        limit = trainer.get("limit_train_batches", 1.0)
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        steps = max(1, math.ceil(batches / trainer["accumulate_grad_batches"]))
    epochs = trainer["max_epochs"]
    return Horizon(steps, epochs * steps if epochs is not None else None)


def own_rates(model: LightningModule, horizon: Horizon) -> list[float]:
    """The rate that the module's own scheduler gives to every update, played without training.

    A scheduler that waits for a metric stays where it begins. Empty where the module's
    optimizers cannot be built without a trainer.
    """
    total = horizon.total or 0
    trainer = _StandIn(total, math.ceil(total / horizon.steps_per_epoch))
    try:
        model.trainer = trainer  # type: ignore[assignment]
        optimizers, schedulers = _unpack(model.configure_optimizers())
        rates = []
        for step in range(total):
            rates.append(float(optimizers[0].param_groups[0]["lr"]))
            for scheduler, every in schedulers:
                if (step + 1) % (1 if every == "step" else horizon.steps_per_epoch) == 0:
                    scheduler.optimizer._opt_called = True  # no update is ever made here
                    scheduler.step()
    except Exception:  # a person's own code meets a trainer that is not there
        return []
    return rates


class _StandIn:
    """What a module may ask of its trainer before training."""

    def __init__(self, steps: int, epochs: int) -> None:
        self.estimated_stepping_batches = steps
        self.max_steps = steps
        self.max_epochs = epochs
        self.num_training_batches = steps // max(epochs, 1)
        self.accumulate_grad_batches = self.world_size = 1
        self.current_epoch = self.global_step = 0


def _unpack(configured: Any) -> tuple[list[torch.optim.Optimizer], list[tuple[Any, str]]]:
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


def _schedulers(entries: Any) -> list[tuple[Any, str]]:
    plain = [entry if isinstance(entry, dict) else {"scheduler": entry} for entry in entries]
    return [
        (entry["scheduler"], entry.get("interval", "epoch"))
        for entry in plain
        if not isinstance(entry["scheduler"], torch.optim.lr_scheduler.ReduceLROnPlateau)
    ]


def _loader_length(data: LightningDataModule) -> int:
    data.prepare_data()
    data.setup("fit")
    try:
        return len(data.train_dataloader())
    except TypeError:
        raise ConfigError(
            "the training loader has no length: set steps_per_epoch=N, or give the data module "
            "'num_samples(split)' and 'batch_size'"
        ) from None
