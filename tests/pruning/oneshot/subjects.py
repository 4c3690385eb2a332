"""Networks, batches and a caller for the tests of one-shot pruning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.oneshot import Change, OneShot, Task

Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """A calibration of batches held in memory."""

    def __init__(self, pairs: Sequence[Batch]) -> None:
        self.pairs = pairs

    @property
    def example(self) -> torch.Tensor:
        return self.pairs[0][0]

    def batches(self) -> Iterator[Batch]:
        return iter(self.pairs)

    def forward(self, model: nn.Module, batch: Batch) -> Any:
        return model(batch[0])

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])


def random_batches(*shape: int, classes: int, count: int = 2) -> Batches:
    return Batches(
        [(torch.randn(shape), torch.randint(0, classes, shape[:1])) for _ in range(count)]
    )


def convolutional() -> tuple[nn.Module, Batches]:
    """A small network with everything in it: strides, groups, batch norm, dropout, a sum."""
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3, padding=1, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding="same", groups=2),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(8 * 9, 12),
        nn.ReLU(),
        nn.Linear(12, 3),
    )
    return model, random_batches(5, 4, 6, 6, classes=3)


WEIGHTS = ("0.weight", "3.weight", "7.weight", "9.weight")


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers without bias, ReLUs between them."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        parts += [nn.Linear(inputs, outputs, bias=False), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def carry_out(
    criterion: OneShot,
    model: nn.Module,
    quota: Quota,
    calibration: Any,
    masks: dict[str, torch.Tensor] | None = None,
    granularity: Granularity = UNSTRUCTURED,
    names: Sequence[str] | None = None,
) -> dict[str, Change]:
    """Prune as a caller does: install every change before asking for the next."""
    named = tuple(names or quota.layers or ())
    task = Task(model, named, quota, calibration, masks or {}, granularity)
    changes = {}
    for change in criterion.prune(task):
        weight = model.get_parameter(change.name)
        with torch.no_grad():
            if change.weight is not None:
                weight.copy_(change.weight)
            weight.masked_fill_(change.pruned, 0.0)
        changes[change.name] = change
    return changes
