"""Events: what happens to a network at single moments of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity

if TYPE_CHECKING:
    from pruneflow.structure.groups import ChannelGroup

ACTION_ORDER = (
    "snapshot", "grow", "prune", "regrow", "shrink", "change", "rewind", "freeze", "lr", "mark",
)  # fmt: skip
"""What an event may do, in the order of events that fall on one step."""


@dataclass(frozen=True)
class Event:
    """One thing that happens to the network right after step ``step``.

    Attributes:
        step: When, in optimizer updates since the start.
        modifier: The name of the modifier in the recipe.
        action: What kind of change, a word of ``ACTION_ORDER``: ``grow`` gives pruned weights
            back, ``regrow`` exchanges weights for pruned ones, ``change`` is any change of
            weights that leaves masks alone, ``mark`` only tells that something begins or ends.
        layers: The weights it touches, by name; empty where it is not about weights.
        quota: The zeros it leaves in those, for a ``prune`` or a ``grow``.
        label: A few words for people, e.g. ``round 3 of 11``.
        last: Whether the modifier's later events make no more of this kind.
        granularity: What goes together, for a ``prune``.
        share: Of the weights left, how many are exchanged, for a ``regrow``.
        channels: For a ``prune`` of channels instead of a quota: how many are gone afterwards,
            by group; others stay as they are.
        groups: The groups of channels of the network that the recipe was compiled for.
    """

    step: int
    modifier: str
    action: str
    layers: tuple[str, ...] = ()
    quota: Quota | None = None
    label: str = ""
    last: bool = False
    granularity: Granularity = UNSTRUCTURED
    share: float = 0.0
    channels: Quota | None = None
    groups: tuple[ChannelGroup, ...] = ()

    @property
    def changes_masks(self) -> bool:
        """Whether masks are others afterwards."""
        return self.action in ("grow", "prune", "regrow", "shrink")

    @property
    def counts_zeros(self) -> bool:
        """Whether it leaves a number of zeros that the recipe says."""
        return self.quota is not None or self.channels is not None


@dataclass(frozen=True)
class RateRewind:
    """At ``step`` the learning-rate clock goes back to ``clock``."""

    step: int
    clock: int
