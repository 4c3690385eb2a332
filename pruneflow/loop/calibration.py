"""Calibration in a hand-written loop: batches and a loss that were passed to ``prune``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from pruneflow.calibration_data import Source, example_of, first_input, given, who_watches
from pruneflow.errors import PlanError, Problem, TrainingError
from pruneflow.operations.batches import mapped
from pruneflow.recipe.plan import Plan

Loss = Callable[[nn.Module, Any], torch.Tensor]


class GivenBatches:
    """Batches of a source, on the module's device.

    Args:
        module: Runs on what a batch begins with; where it begins with no tensor, the loss runs it.
        source: Of the batches.
        loss: The loss of the module on a batch.
    """

    def __init__(self, module: nn.Module, source: Source, loss: Loss | None) -> None:
        self._module = module
        self._source = source
        self._loss = loss

    @property
    def example(self) -> torch.Tensor:
        """See ``Calibration``."""
        return example_of(self.batches())

    def batches(self) -> Iterator[Any]:
        """See ``Calibration``."""
        device = next(self._module.parameters()).device
        for batch in self._source():
            yield mapped(lambda tensor: tensor.to(device), batch)

    def forward(self, model: nn.Module, batch: Any) -> Any:
        """See ``Calibration``.

        Raises:
            TrainingError: It is not known how.
        """
        inputs = first_input(batch)
        if inputs is not None:
            return model(inputs)
        if self._loss is None:
            raise TrainingError(
                f"calibration: batches are of {type(batch).__name__}, and how the module runs on "
                "one is not known: pass prune(..., loss=lambda module, batch: ...)"
            )
        return self._loss(model, batch)

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """See ``Calibration``."""
        assert self._loss is not None, "prune() has looked"
        return self._loss(model, batch)


def calibration_for(
    plan: Plan, module: nn.Module, data: Any, loss: Loss | None, seed: int
) -> GivenBatches | None:
    """What a plan's modifiers watch a module on; None where none of them does.

    Args:
        plan: It.
        module: To be watched.
        data: What ``prune`` was given as ``calibration``.
        loss: Of the module on a batch.
        seed: Shuffles what a loader shuffles.

    Raises:
        PlanError: A modifier needs what is not there.
        ValueError: The data can be read but once, or not at all.
    """
    batches, of_loss = who_watches(plan)
    if data is None and batches:
        text = f"modifiers.{batches}: watches the module: pass prune(..., calibration=batches)"
        raise PlanError(Problem(plan.recipe.locate(("modifiers", batches)), text))
    if loss is None and of_loss:
        text = f"modifiers.{of_loss}: needs a loss: pass prune(..., loss=lambda module, batch: ...)"
        raise PlanError(Problem(plan.recipe.locate(("modifiers", of_loss)), text))
    if data is None or not batches:
        return None
    try:
        return GivenBatches(module, given(data, seed), loss)
    except ValueError as error:
        raise ValueError(f"calibration: {error}") from None
