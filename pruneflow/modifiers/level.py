"""Levels of sparsity: modifiers that prune to one number of zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pruneflow.modifiers.base import FieldError, Site, TargetedModifier
from pruneflow.modifiers.fields import (
    PERCENT_HINT,
    SPARSITY,
    Choice,
    Count,
    Number,
    PerLayer,
    option,
)
from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota


@dataclass(frozen=True, kw_only=True)
class SparsityLevel(TargetedModifier):
    """A modifier that knows one sparsity, and no weight of the past."""

    owns_masks = True

    sparsity: float | dict[str, float] = option(
        PerLayer(SPARSITY), "share of the targeted weights that is zero"
    )
    allocation: str = option(Choice(ALLOCATIONS), "how zeros are spread over layers", "global")
    max_layer_sparsity: float = option(
        Number(0, 1, hint=PERCENT_HINT), "no layer becomes sparser than this", 1.0
    )
    min_nonzeros: int | None = option(
        Count(),
        "weights every layer keeps; default: one for each output unit, or about the layer's "
        "uniform share where that is less",
        None,
    )

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        if isinstance(self.sparsity, Mapping) and self.allocation != "per_layer":
            return [("sparsity", "one for each layer needs 'allocation: per_layer'")]
        return []

    def quota(self, site: Site) -> Quota:
        """The zeros that it prunes to.

        Raises:
            FieldError: The layers cannot have as many.
        """
        guard = Guard(self.max_layer_sparsity, self.min_nonzeros)
        try:
            return ALLOCATIONS[self.allocation](site.chosen(self), self.sparsity, guard)
        except ValueError as error:
            raise FieldError("sparsity", str(error)) from None

    def require_no_rewinds(self, site: Site, first: int, last: int) -> None:
        """Make sure that nobody rewinds the network while weights go and come back.

        Raises:
            FieldError: Somebody does.
        """
        for other in site.modifiers.values():
            try:
                rewinds = other.rate_rewinds(site)
            except FieldError as error:
                error.modifier = error.modifier or other.name
                raise
            if inside := [rewind.step for rewind in rewinds if first <= rewind.step <= last]:
                raise FieldError(
                    "start",
                    f"'{other.name}' rewinds the network at step {inside[0]}, while this prunes "
                    f"weights and grows them back (steps {first} to {last}): let one end before "
                    "the other begins",
                )
