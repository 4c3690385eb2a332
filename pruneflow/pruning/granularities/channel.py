"""``channel``: whole channels, with everything that depends on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pruneflow.pruning.allocation import Allocation, Guard, Quota, Sparsity
from pruneflow.pruning.granularities.base import GRANULARITIES, Shape
from pruneflow.pruning.granularities.one_word import OneWord
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    import torch

    from pruneflow.pruning.shards import Ranks
    from pruneflow.pruning.threshold import Scores

WORD = "channel"


@GRANULARITIES.register(WORD)
@dataclass(frozen=True)
class Channel(OneWord):
    """A channel goes from every layer that makes it, with its biases and its batch norms.

    Layers whose outputs are added lose the same channels (Fang et al. 2023, arXiv:2301.12900);
    those whose mean weight scores lowest go first, and of every group one stays. Numbers are of
    channels, and groups stand for layers.
    """

    form: ClassVar[str] = WORD
    by_group: ClassVar[bool] = True

    def __str__(self) -> str:
        return "channels"

    def quota(
        self,
        allocation: Allocation,
        layers: Sequence[Layer],
        sparsity: Sparsity,
        guard: Guard,
    ) -> Quota:
        """See base class; in channels."""
        try:
            return allocation(layers, sparsity, guard)
        except ValueError as error:
            raise ValueError(f"counting each channel as one weight, {error}") from None

    def choose(
        self,
        scores: Mapping[str, Scores],
        shapes: Mapping[str, Shape],
        quota: Quota,
        ranks: Ranks | None = None,
    ) -> dict[str, torch.Tensor]:
        """See base class."""
        from pruneflow.pruning.threshold import select

        return select(scores, quota, ranks=ranks)
