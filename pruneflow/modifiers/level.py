"""Levels of sparsity: modifiers that prune to one number of zeros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pruneflow.modifiers.base import TargetedModifier
from pruneflow.modifiers.fields import SPARSITY, Choice, PerLayer, option
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spreading import SpreadsZeros, layer_cap, layer_floor, varied_sparsity
from pruneflow.pruning.allocation import ALLOCATIONS, Quota


@dataclass(frozen=True, kw_only=True)
class SparsityLevel(SpreadsZeros, TargetedModifier):
    """A modifier that knows one sparsity, and no weight of the past."""

    owns_masks = True

    sparsity: float | dict[str, float] = option(
        PerLayer(SPARSITY), "share of the targeted weights that is zero"
    )
    allocation: str = option(Choice(ALLOCATIONS), "how zeros are spread over layers", "global")
    max_layer_sparsity: float = layer_cap()
    min_nonzeros: int | None = layer_floor()

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        return varied_sparsity(self.sparsity, self.allocation)

    def quota(self, site: Site) -> Quota:
        """The zeros that it prunes to.

        Raises:
            FieldError: The layers cannot have as many.
        """
        return self.spread(self.allocation, site.chosen(self), self.sparsity)

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
