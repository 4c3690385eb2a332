"""``snip``: weights whose removal moves the loss least (Lee et al. 2019, arXiv:1810.02340)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pruneflow.pruning.oneshot.base import ONESHOT, Change, OneShot, Task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pruneflow.pruning.oneshot.calibration import Calibration


@ONESHOT.register("snip")
@dataclass(frozen=True)
class Snip(OneShot):
    """Absolute gradient times weight, summed over the calibration batches before it is absolute.

    Meant for the network before training (Lee et al. 2019, arXiv:1810.02340). Batch norms use
    the statistics of each batch, as in training; all else is in evaluation mode.
    """

    needs_loss: ClassVar[bool] = True

    def prune(self, task: Task) -> Iterator[Change]:
        """See base class."""
        scores = snip_scores(task.model, task.names, task.calibration)
        pruned = {name: task.already(name) for name in task.names}
        for name, marks in task.choose(scores, task.quota, pruned).items():
            yield Change(name, marks)


def snip_scores(
    model: nn.Module, names: Sequence[str], calibration: Calibration
) -> dict[str, torch.Tensor]:
    """``|sum over batches of dL/dw * w|`` (equation 5, not normalized), in double precision.

    Raises:
        TrainingError: A loss does not depend on one of the weights, or there are no batches.
        NonFiniteError: A gradient is NaN or infinite.
    """
    import torch
    from torch.nn.modules.batchnorm import _BatchNorm

    from pruneflow.errors import NonFiniteError, TrainingError
    from pruneflow.pruning.oneshot.gradients import gradients
    from pruneflow.pruning.oneshot.undisturbed import undisturbed

    weights = {name: model.get_parameter(name) for name in names}
    totals = {
        name: torch.zeros_like(weight, dtype=torch.float64) for name, weight in weights.items()
    }
    trainable = {name: weight.requires_grad for name, weight in weights.items()}
    batches = 0
    try:
        for weight in weights.values():
            weight.requires_grad_(True)
        with undisturbed(model), torch.enable_grad():
            for module in model.modules():
                if isinstance(module, _BatchNorm):
                    module.train()
            for batch in calibration.batches():
                loss = calibration.loss(model, batch)
                for name, gradient in gradients(loss, weights).items():
                    totals[name] += gradient
                batches += 1
    finally:
        for name, weight in weights.items():
            weight.requires_grad_(trainable[name])
    if not batches:
        raise TrainingError("snip needs calibration batches, and there are none")
    scores = {name: (totals[name] * weight.detach()).abs_() for name, weight in weights.items()}
    for name, score in scores.items():
        if not bool(torch.isfinite(score).all()):
            raise NonFiniteError(
                f"the loss on calibration batches has NaN or infinite gradients at '{name}'"
            )
    return scores
