"""``freeze_mask``: masks are fixed from here on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import TargetedModifier, modifier
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Instant, option
from pruneflow.modifiers.site import Site
from pruneflow.timeline import Moment, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network


@modifier("freeze_mask")
@dataclass(frozen=True, kw_only=True)
class FreezeMask(TargetedModifier):
    """Fix the masks from ``start`` on: a later change to them is an error.

    A layer that no modifier has pruned takes the zeros its weights hold at that moment as its
    mask, so that a network pruned elsewhere stays as sparse as it came.
    """

    example = {"start": "1ep"}

    start: Moment = option(Instant(), "from when on", parse_time("0st"))

    @property
    def needs_whole(self) -> None:
        """See base class."""

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        start = site.step(self, "start")
        return start, start

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        names = site.names(self)
        return [Event(self.span(site)[0], self.name, "freeze", names, last=True)]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        network.freeze(event.layers)
