"""Whether C code gives the answers that torch gives, on all data there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pruneflow.deploy.accuracy import Accuracy, Classification
from pruneflow.deploy.backends.base import Run
from pruneflow.errors import DeployError

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Parity:
    """A comparison.

    Attributes:
        samples: How many inputs were compared.
        split: What the data are called; None: no labelled data.
        accuracy: Of torch and of the C code; None without labels.
        deviation: The largest difference of an output from the network as it was trained.
        rounding: The largest difference from torch with the weights that are in the C code.
        agree: Inputs for which both name the same class.
    """

    samples: int
    split: str | None
    accuracy: Accuracy | None
    deviation: float
    rounding: float
    agree: int

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found: dict[str, Any] = {
            "samples": self.samples,
            "largest_deviation": self.deviation,
            "rounding": self.rounding,
            "same_class": self.agree,
            "reference": "torch, the network as it was trained",
        }
        if self.accuracy is not None:
            accuracy = {"torch": self.accuracy.before, "c": self.accuracy.after}
            drop, allowed = self.accuracy.drop, self.accuracy.allowed
            found |= {"split": self.split, "accuracy": accuracy, "drop": drop, "allowed": allowed}
        return found


def compare(
    c: Run,
    original: Run,
    written: Run,
    data: Classification | None,
    inputs: torch.Tensor,
    allowed: float,
) -> Parity:
    """Run the C code and torch side by side.

    Args:
        c: The C code.
        original: The network as it was trained.
        written: Torch with the weights that are in the C code.
        data: Inputs and labels.
        inputs: Inputs to take where there are no data.
        allowed: How many points (percent) of accuracy may be lost.

    Raises:
        DeployError: An output is not finite.
    """
    batches = [(inputs, None)] if data is None else data.batches
    samples = agree = before = after = 0
    deviation = rounding = 0.0
    with torch.inference_mode():
        for batch, labels in batches:
            found, right, same = c(batch), *(run(batch.clone()) for run in (original, written))
            right, same = right.reshape(found.shape), same.reshape(found.shape)
            if not bool(torch.isfinite(found).all()):
                raise DeployError(
                    "deploy.target=c99: the C code gives numbers that are not finite on data it "
                    "was compared on; nothing was written"
                )
            deviation = max(deviation, float((found - right).abs().max()))
            rounding = max(rounding, float((found - same).abs().max()))
            samples += len(batch)
            agree += int((found.argmax(1) == right.argmax(1)).sum())
            if labels is not None:
                before += int((right.argmax(1) == labels).sum())
                after += int((found.argmax(1) == labels).sum())
    accuracy = None if data is None else Accuracy(before / samples, after / samples, allowed)
    split = None if data is None else data.split
    return Parity(samples, split, accuracy, deviation, rounding, agree)
