"""``unstructured``: every weight for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities.base import GRANULARITIES, Granularity, Shape
from pruneflow.pruning.granularities.one_word import OneWord

if TYPE_CHECKING:
    import torch

    from pruneflow.pruning.shards import Ranks
    from pruneflow.pruning.threshold import Scores

WORD = "unstructured"


@GRANULARITIES.register(WORD)
@dataclass(frozen=True)
class Unstructured(OneWord):
    """Every weight for itself: the lowest go, wherever they are."""

    form: ClassVar[str] = WORD
    by_row: ClassVar[bool] = True

    def __str__(self) -> str:
        return WORD

    def continues(self, earlier: Granularity) -> bool:
        """See base class."""
        return True

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


UNSTRUCTURED = Unstructured()
