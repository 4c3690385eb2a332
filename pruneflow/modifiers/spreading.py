"""How zeros are spread over layers, and the guard against dead ones: for modifiers that prune."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pruneflow.modifiers.fields import PERCENT_HINT, Count, Number, option
from pruneflow.modifiers.site import FieldError
from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota, Sparsity
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.scope import Layer

LEFT = (
    "weights every layer keeps; default: one for each output unit, or about the layer's "
    "uniform share where that is less"
)


def layer_cap() -> Any:
    """The field ``max_layer_sparsity``."""
    return option(Number(0, 1, hint=PERCENT_HINT), "no layer becomes sparser than this", 1.0)


def layer_floor(doc: str = LEFT) -> Any:
    """The field ``min_nonzeros``."""
    return option(Count(), doc, None)


class SpreadsZeros:
    """A modifier with the fields ``layer_cap`` and ``layer_floor``, at the place of its choice."""

    max_layer_sparsity: float
    min_nonzeros: int | None

    @property
    def guard(self) -> Guard:
        """What keeps layers alive."""
        return Guard(self.max_layer_sparsity, self.min_nonzeros)

    def spread(
        self,
        allocation: str,
        layers: Sequence[Layer],
        sparsity: Sparsity,
        granularity: Granularity = UNSTRUCTURED,
    ) -> Quota:
        """The zeros of layers at a sparsity.

        Raises:
            FieldError: The layers cannot have as many.
        """
        try:
            return granularity.quota(ALLOCATIONS[allocation], layers, sparsity, self.guard)
        except ValueError as error:
            raise FieldError("sparsity", str(error)) from None


def varied_sparsity(sparsity: Sparsity | None, allocation: str | None) -> list[tuple[str, str]]:
    """The mistake of a sparsity for each layer where the allocation has no use for it."""
    if isinstance(sparsity, Mapping) and allocation != "per_layer":
        return [("sparsity", "one for each layer needs 'allocation: per_layer'")]
    return []
