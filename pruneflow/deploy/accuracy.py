"""What narrower weights cost in accuracy, on data the network was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from pruneflow.errors import DeployError


@dataclass(frozen=True)
class Accuracy:
    """Before and after.

    Attributes:
        before: Of the network as it was trained, a share.
        after: Of the network as it was written.
        allowed: How many points (percent) it may lose.
    """

    before: float
    after: float
    allowed: float

    @property
    def drop(self) -> float:
        """Points (percent) lost."""
        return round(100 * (self.before - self.after), 9)  # 0.04 is 4 points, not 4.000000000000004

    @property
    def holds(self) -> bool:
        """Whether no more is lost than allowed."""
        return self.drop <= self.allowed


class Classification:
    """The share of inputs whose largest output is the right class.

    Args:
        batches: Pairs of inputs (n, ...) and labels (n,), the same each time.
        split: What the data is called.
        like: A batch of inputs (n, ...) as the network takes them.

    Raises:
        DeployError: There are no such batches.
    """

    def __init__(
        self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]], split: str, like: torch.Tensor
    ) -> None:
        self.batches = [_checked(batch, like) for batch in batches]
        self.split = split
        self.samples = sum(len(labels) for _, labels in self.batches)
        if not self.samples:
            raise DeployError("the validation data are empty: nothing can be checked on them")

    def __call__(self, run: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """The share of right answers of a network that is called with inputs (n, ...).

        Raises:
            DeployError: The network does not return scores of classes.
        """
        with torch.inference_mode():
            right = sum(_right(run(inputs.clone()), labels) for inputs, labels in self.batches)
        return right / self.samples

    def inputs(self, count: int) -> torch.Tensor:
        """The first inputs."""
        found, have = [], 0
        for inputs, _ in self.batches:
            found.append(inputs)
            have += len(inputs)
            if have >= count:
                break
        return torch.cat(found)[:count]

    def to_json(self, accuracy: Accuracy) -> dict[str, Any]:
        """As plain data."""
        return {
            "metric": "accuracy", "split": self.split, "samples": self.samples,
            "before": accuracy.before, "after": accuracy.after,
            "drop": accuracy.drop, "allowed": accuracy.allowed,
        }  # fmt: skip


def _checked(batch: object, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pair = batch if isinstance(batch, list | tuple) and len(batch) == 2 else (None, None)
    inputs, labels = pair
    if not isinstance(inputs, torch.Tensor) or not isinstance(labels, torch.Tensor):
        raise DeployError(
            "validation data have to be batches, pairs of inputs (n, ...) and labels (n,): "
            "[(inputs, labels), ...]"
        )
    if inputs.shape[1:] != like.shape[1:] or inputs.dtype != like.dtype or not inputs.is_cpu:
        raise DeployError(
            f"validation inputs are {inputs.dtype} of {tuple(inputs.shape)} on {inputs.device}, "
            f"unlike the example, {like.dtype} of {tuple(like.shape)}"
        )
    if labels.shape != inputs.shape[:1] or labels.is_floating_point() or not labels.is_cpu:
        raise DeployError(
            f"validation labels have to be classes, whole numbers ({len(inputs)},), not "
            f"{labels.dtype} of {tuple(labels.shape)} on {labels.device}"
        )
    return inputs.detach(), labels.detach()


def _right(outputs: torch.Tensor, labels: torch.Tensor) -> int:
    if outputs.dim() != 2 or len(outputs) != len(labels):
        raise DeployError(
            f"the accuracy is checked on scores (n, classes), and the network returns "
            f"{tuple(outputs.shape)} for {len(labels)} inputs: deploy without validation data"
        )
    return int((outputs.argmax(1) == labels).sum())
