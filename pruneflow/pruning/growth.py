"""Which pruned weights grow back: those with the highest scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneflow.pruning.criteria import Criterion, random
from pruneflow.pruning.gathering import GatheredScore
from pruneflow.registry import Registry

if TYPE_CHECKING:
    import torch

GROWTHS: Registry[Criterion] = Registry("growth", "pruneflow.growths")


class Gradient(GatheredScore):
    """Absolute value of the gradient of the batch at hand (RigL: Evci et al. 2020)."""

    since = "update"
    dense = True

    def gather(self, total: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor) -> None:
        """See base class."""
        total.add_(gradient.to(total))

    def __call__(self, total: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """See base class."""
        return total.abs()


GROWTHS.register("gradient")(Gradient())
GROWTHS.register("random")(random)
