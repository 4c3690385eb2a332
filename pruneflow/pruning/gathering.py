"""Scores that are gathered from gradients while a network trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pruneflow.errors import TrainingError

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

    def of(
        self, names: Sequence[str], gathered: Mapping[str, torch.Tensor], step: int
    ) -> dict[str, torch.Tensor]:
        """What was gathered for some weights until a step.

        Raises:
            TrainingError: There was no gradient, or, where the last update's alone counts, none
                that is finite. Of dense ones it is the caller who looks.
        """
        from pruneflow.pruning.masks import is_finite

        for name in names:
            text = f"'{name}' is to be scored by gradients at step {step}, but"
            if name not in gathered:
                raise TrainingError(
                    f"{text} no optimizer has moved it by one: leave it out of the targets"
                )
            if self.since == "update" and not self.dense and not is_finite(gathered[name]):
                raise TrainingError(
                    f"{text} those of its update are not finite, and the update was skipped: "
                    "prune later, when the loss scale has settled, or train in bf16-mixed"
                )
        return {name: gathered[name] for name in names}

    def __call__(self, total: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The scores of a flat chunk of what was gathered."""
        return total
