"""``filter``: whole filters of convolutions, whole rows of linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

from pruneflow.pruning.granularities.base import GRANULARITIES, Shape
from pruneflow.pruning.granularities.one_word import OneWord
from pruneflow.pruning.granularities.whole import WholeUnits

WORD = "filter"


@GRANULARITIES.register(WORD)
@dataclass(frozen=True)
class Filter(OneWord, WholeUnits):
    """All weights of an output stay or go together, those with the lowest sum of scores first.

    Sparsity is rounded to whole filters, and every layer keeps one. For ``magnitude`` the sum is
    the filter's l1 norm (Li et al. 2017, arXiv:1608.08710). Biases and norms stay as they are.
    Filters of unlike sizes need an allocation that fixes each layer's share.
    """

    form: ClassVar[str] = WORD

    def __str__(self) -> str:
        return "filters"

    def unit(self, shape: Shape) -> tuple[int, int]:
        """See base class."""
        return 1, prod(shape[1:])
