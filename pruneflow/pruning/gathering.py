"""Scores that are gathered from gradients while a network trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    import torch


class GatheredScore(ABC):
    """A sum over updates, kept for every weight.

    Attributes:
        since: Where the sum begins: at the modifier's ``start`` of gathering, anew after each of
            its events, or anew at every update.
        dense: Whether it needs the gradients of pruned weights too, as the backward pass leaves
            them, unmasked and not clipped; then ``since`` is ``update``.
    """

    since: ClassVar[Literal["start", "event", "update"]]
    dense: ClassVar[bool] = False

    @abstractmethod
    def gather(self, total: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor) -> None:
        """Take one update in.

        Args:
            total: What was gathered before, of float32 or wider; changed in place.
            weight: As the update finds it.
            gradient: Of the loss by ``weight``; finite.
        """

    def __call__(self, total: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The scores of a flat chunk of what was gathered."""
        return total
