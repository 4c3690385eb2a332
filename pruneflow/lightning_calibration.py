"""Calibration from a Lightning trainer's training data, which it does not move.

A module may say how it is to be watched: ``calibration_forward(batch)`` runs the network on a
batch, ``calibration_loss(batch)`` returns a loss. Without them it is run on what a batch begins
with, and its loss is that of ``training_step``, with everything logged thrown away.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torchmetrics import Metric

from pruneflow.calibration_data import (
    Source,
    again,
    example_of,
    first_input,
    given,
    who_watches,
)
from pruneflow.errors import PlanError, Problem, TrainingError
from pruneflow.namespaces import NAMESPACES
from pruneflow.pruning.oneshot.calibration import Calibration
from pruneflow.recipe.plan import Plan
from pruneflow.state import detached_copy


def calibration_for(
    plan: Plan, trainer: Trainer, module: LightningModule, data: Any, seed: int
) -> Calibration | None:
    """What the plan's modifiers watch the module on; None where none of them does.

    Args:
        plan: It.
        trainer: A trainer whose ``fit`` has set up its data.
        module: What it trains.
        data: Batches to use instead of the training data.
        seed: Shuffles the training data.

    Raises:
        PlanError: The data or the module cannot give what is needed.
    """
    batches, loss = who_watches(plan)
    if not batches:
        return None
    where = plan.recipe.locate(("modifiers", loss or batches))
    if loss and not (module.automatic_optimization or hasattr(module, "calibration_loss")):
        raise PlanError(
            Problem(
                where,
                f"modifiers.{loss}: needs a loss, and with manual optimization 'training_step' "
                f"gives none: write {type(module).__name__}.calibration_loss(batch)",
            )
        )
    try:
        if data is not None:
            source = given(data, seed)
        else:
            source = again(trainer.train_dataloader, seed, trainer.world_size)
    except ValueError as error:
        what = "the training loader: " if data is None else "calibration: "
        mend = "; pass RecipeCallback(..., calibration=batches)" if data is None else ""
        text = f"modifiers.{batches}: needs calibration batches. {what}{error}{mend}"
        raise PlanError(Problem(plan.recipe.locate(("modifiers", batches)), text)) from None
    return TrainingData(trainer, module, source)


class TrainingData:
    """Batches of a source, on the module's device, and what the module does with them.

    Args:
        trainer: Moves batches, and knows the precision.
        module: The module it trains.
        source: Of the batches.
    """

    def __init__(self, trainer: Trainer, module: LightningModule, source: Source) -> None:
        self._trainer = trainer
        self._module = module
        self._source = source

    @property
    def example(self) -> torch.Tensor:
        """See ``Calibration``."""
        return example_of(self.batches())

    def batches(self) -> Iterator[Any]:
        """See ``Calibration``."""
        for batch in self._source():
            converted = self._trainer.precision_plugin.convert_input(batch)
            converted = self._module._on_before_batch_transfer(converted)
            yield self._trainer.strategy.batch_to_device(converted)

    def forward(self, model: nn.Module, batch: Any) -> Any:
        """See ``Calibration``.

        Raises:
            TrainingError: It is not known how.
        """
        module: Any = self._module
        inputs = first_input(batch)
        with self._trainer.precision_plugin.forward_context():
            if hasattr(module, "calibration_forward"):
                return module.calibration_forward(batch)
            if inputs is not None and _has_forward(module):
                return module(inputs)
            if module.automatic_optimization:
                return self.loss(model, batch)
        raise TrainingError(
            f"calibration: batches are of {type(batch).__name__}, and how the network runs on "
            f"one is not known: write {type(module).__name__}.calibration_forward(batch)"
        )

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """See ``Calibration``.

        Raises:
            TrainingError: ``training_step`` gives none.
        """
        module: Any = self._module
        with self._trainer.precision_plugin.train_step_context(), _unnoticed(module):
            if hasattr(module, "calibration_loss"):
                found = module.calibration_loss(batch)
            else:
                found = module.training_step(*_arguments(module, batch))
        loss = found.get("loss") if isinstance(found, Mapping) else found
        if not isinstance(loss, torch.Tensor):
            raise TrainingError(
                f"calibration: {type(module).__name__}.training_step gives no loss: write "
                f"{type(module).__name__}.calibration_loss(batch)"
            )
        return loss


def _has_forward(module: LightningModule) -> bool:
    defined = type(module).forward.__module__
    return not defined.startswith((*NAMESPACES, "torch."))


def _arguments(module: LightningModule, batch: Any) -> tuple[Any, ...]:
    """What ``training_step`` takes: a batch, and as a rule its number."""
    taken = inspect.signature(module.training_step).parameters.values()
    several = len(taken) > 1 or any(each.kind is each.VAR_POSITIONAL for each in taken)
    return (batch, 0) if several else (batch,)


@contextmanager
def _unnoticed(module: LightningModule) -> Iterator[None]:
    """Nothing is logged, and metrics know nothing of it afterwards."""
    kept = [(m, _attributes(m)) for m in module.modules() if isinstance(m, Metric)]
    own = vars(module).copy()
    vars(module).update(log=_ignore, log_dict=_ignore)
    try:
        yield
    finally:
        for name in ("log", "log_dict"):
            del vars(module)[name]
            if name in own:
                vars(module)[name] = own[name]
        for metric, attributes in kept:
            vars(metric).clear()
            vars(metric).update(attributes)


def _attributes(metric: Metric) -> dict[str, Any]:
    return {
        name: detached_copy(value) if isinstance(value, torch.Tensor | list) else value
        for name, value in vars(metric).items()
    }


def _ignore(*_: Any, **__: Any) -> None:
    pass
