"""Compile a run's plan without training, and as a rule without reading data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import LightningDataModule

from pruneflow import lightning_trainer
from pruneflow.errors import ConfigError, PlanError, Problem
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.plan import Plan
from pruneflow.timeline import Horizon
from pruneflow.training import weights
from pruneflow.training.config import RunConfig
from pruneflow.training.divided import training_batches
from pruneflow.training.own_rates import own_rates

MAX_STEPS = 100_000_000
MAX_POINTS = 20_000
"""A plan tells the rate of every step, or of about so many, evenly spaced, in a longer run."""


@dataclass(frozen=True)
class Preview:
    """A plan, and the learning rates it will lead to.

    Attributes:
        plan: What happens when.
        own_rates: The module's own rate at each step of the learning-rate clock, the last one
            for good; empty where it cannot be known without training.
        processes: How many will train together.
    """

    plan: Plan
    own_rates: Sequence[float]
    processes: int = 1

    def to_dict(self) -> dict[str, Any]:
        """What ``plan.json`` holds: the plan, and rates as (step, rate) where they change.

        In runs of more than ``MAX_POINTS`` steps rates are looked at every so many steps, and
        at every event.
        """
        tree = self.plan.to_dict()
        last = max(self.plan.total - 1, 0)
        events = [min(event["step"], last) for event in tree["events"]]
        stride = max(1, math.ceil(self.plan.total / MAX_POINTS))
        steps = sorted({*range(0, self.plan.total, stride), *events})
        rates = self._rates(steps) if self.own_rates else {}
        for event, step in zip(tree["events"], events, strict=True):
            event["lr"] = rates.get(step)
        own = {step: self._own(self.plan.rate_clock(step)) for step in rates}
        together = {"processes": self.processes} if self.processes > 1 else {}
        return {**tree, **together, "rates": _changes(rates), "own_rates": _changes(own)}

    def _own(self, clock: int) -> float:
        return self.own_rates[min(clock, len(self.own_rates) - 1)]

    def _rates(self, steps: Iterable[int]) -> dict[int, float]:
        """The rates of some updates; ``Plan.rates`` has those of all."""
        rates = {}
        for step in steps:
            clock = self.plan.rate_clock(step)
            span = next((span for span in self.plan.rate_spans if span.covers(clock)), None)
            if span is None:
                rates[step] = self._own(clock)
            else:
                rates[step] = span.rate(clock, self._own(span.start))
        return rates


def _changes(rates: dict[int, float]) -> list[tuple[int, float]]:
    changes: list[tuple[int, float]] = []
    for step, rate in rates.items():
        if not changes or rate != changes[-1][1]:
            changes.append((step, rate))
    return changes


def preview(config: RunConfig) -> Preview:
    """Compile a configuration's recipe for its model and data.

    Raises:
        PlanError: The recipe does not fit.
        ConfigError: The model or the data cannot be built.
    """
    _refuse_shrinking_together(config)
    if any(modifier.needs_groups for modifier in config.recipe.modifiers.values()):
        with torch.random.fork_rng(devices=[]):
            model = config.built_model()  # its channels are followed by running it
    else:
        model = config.meta_model()
    weights.fit(model, config)
    trainer = config.values["trainer"]
    accumulate = trainer["accumulate_grad_batches"]
    batches = _batches(config, config.data())
    horizon = _horizon(config, max(1, math.ceil(batches / accumulate)))
    _refuse_endless(config.recipe, horizon)
    plan = compile_for(config.recipe, model, horizon, lightning_trainer.example_of(model))
    rates = own_rates(model, plan.horizon, accumulate, batches, config.processes)
    return Preview(plan, rates, config.processes)


def _horizon(config: RunConfig, steps_per_epoch: int) -> Horizon:
    """Steps an epoch and, where the configuration sets it, the run's total."""
    trainer = config.values["trainer"]
    epochs, most = trainer["max_epochs"], trainer.get("max_steps")
    limits = [] if epochs in (None, -1) else [epochs * steps_per_epoch]
    limits += [] if most in (None, -1) else [most]
    return Horizon(steps_per_epoch, min(limits, default=None))


def _batches(config: RunConfig, data: LightningDataModule) -> int:
    """Training batches of each process in an epoch.

    They come from ``steps_per_epoch``, else from the data module's ``num_samples`` and
    ``batch_size``, else from the length of its loader, which loads the data.
    """
    trainer = config.values["trainer"]
    steps = config.values["steps_per_epoch"]
    if steps is not None:
        return int(steps * trainer["accumulate_grad_batches"])
    batches = _declared_batches(data, config.processes) or _loader_length(data, config)
    limit = trainer.get("limit_train_batches", 1.0)
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def _declared_batches(data: LightningDataModule, processes: int) -> int | None:
    """What a data module says without loading anything, if it speaks our way."""
    samples, size = getattr(data, "num_samples", None), getattr(data, "batch_size", None)
    if not callable(samples) or not isinstance(size, int) or size < 1:
        return None
    try:
        count = samples("train")
    except Exception:  # a method of that name with a meaning of its own
        return None
    return math.ceil(count / (size * processes)) if isinstance(count, int) else None


def _loader_length(data: LightningDataModule, config: RunConfig) -> int:
    data.prepare_data()
    data.setup("fit")
    try:
        return training_batches(data, config)
    except TypeError:
        raise ConfigError(
            "the training loader has no length: set steps_per_epoch=N, or give the data module "
            "'num_samples(split)' and 'batch_size'"
        ) from None


def _refuse_shrinking_together(config: RunConfig) -> None:
    """Refuse to replace parameters whose gradients several processes average."""
    if config.processes > 1 and (name := lightning_trainer.shrinks(config.recipe)):
        text = f"modifiers.{name}: replaces parameters, which one process alone can do"
        where = config.recipe.locate(("modifiers", name))
        raise PlanError(Problem(where, f"{text}: write trainer.devices=1"))


def _refuse_endless(recipe: Recipe, horizon: Horizon) -> None:
    """Refuse lengths that can only be a slip, before anything is counted step by step."""
    total, where = horizon.total, "trainer"
    if total is None and recipe.length is not None and recipe.length.unit != "%":
        total, where = horizon.steps(recipe.length), recipe.locate(("length",))
    if total is not None and total > MAX_STEPS:
        text = (
            f"length: the run has {total:,} steps, more than the {MAX_STEPS:,} that a plan may have"
        )
        raise PlanError(Problem(where, text))
