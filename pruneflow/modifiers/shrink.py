"""``shrink``: take pruned channels out of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import Modifier, modifier
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Instant, option
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.timeline import Moment, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network


@modifier("shrink")
@dataclass(frozen=True, kw_only=True)
class Shrink(Modifier):
    """Remove every channel that is pruned whole, as ``granularity: channel`` leaves them.

    A channel is one of all layers that depend on it, with its biases and batch norms; no output
    of the network changes. Weights, momenta and averages of what is left stay as they are. The
    names of a ``state_dict`` stay, its shapes do not: ``pruneflow.resize(module, state_dict)``
    makes a module fit. What is removed counts as zeros, now and in all that follows.
    """

    paper = "Li et al. 2017, arXiv:1608.08710; Fang et al. 2023, arXiv:2301.12900"
    example = {"start": "2ep"}

    start: Moment = option(Instant(), "when", parse_time("0st"))

    @property
    def needs_groups(self) -> bool:
        """See base class."""
        return True

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        start = site.step(self, "start")
        return start, start

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        groups = site.known_groups()
        if not groups:
            raise FieldError("type", "no channel of this network can be removed")
        step, label = self.span(site)[0], "remove pruned channels"
        return [Event(step, self.name, "shrink", label=label, last=True, groups=groups)]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        from pruneflow.operations.shrinking import shrink

        shrink(network, event.groups)
