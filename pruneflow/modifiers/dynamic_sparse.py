"""``dynamic_sparse``: train a sparse network whose masks move; RigL and SET."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import modifier
from pruneflow.modifiers.channels import not_of_weights
from pruneflow.modifiers.duties import Duty
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import FRACTION, Choice, Duration, Instant, option
from pruneflow.modifiers.gathered import gatherings, require_gradients
from pruneflow.modifiers.level import SparsityLevel
from pruneflow.modifiers.ramp import MAX_EVENTS
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.pruning.allocation import ALLOCATIONS
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.growth import GROWTHS
from pruneflow.timeline import Moment, Time, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network


@modifier("dynamic_sparse")
@dataclass(frozen=True, kw_only=True)
class DynamicSparse(SparsityLevel):
    """Train at one sparsity throughout, and exchange small weights for pruned ones now and then.

    At 'start' it prunes; from then on every layer keeps its number of zeros. Then once every
    'every', before 'end', it drops the smallest of the weights left of every layer and lets as
    many pruned ones grow: those with the largest gradient of the batch at hand (RigL), or any
    (SET). What grows begins at zero. The share that is exchanged falls from 'drop_fraction' to
    nothing along half a cosine.
    """

    paper = "Evci et al. 2020, arXiv:1911.11134; Mocanu et al. 2018, arXiv:1707.04780"
    example = {"sparsity": 0.5, "every": "2st", "end": "3ep"}

    start: Moment = option(Instant(), "when it prunes", parse_time("0st"))
    end: Moment = option(Instant(), "when the share exchanged is nothing", parse_time("75%"))
    every: Time = option(Duration(), "time between exchanges", parse_time("100st"))
    drop_fraction: float = option(
        FRACTION, "share of the weights left that is exchanged, in the beginning", 0.3
    )
    growth: str = option(Choice(GROWTHS), "which pruned weights grow", "gradient")
    criterion: str = option(
        Choice(CRITERIA), "which weights go first at 'start', where they are no longer random ones",
        "random",
    )  # fmt: skip
    allocation: str = option(Choice(ALLOCATIONS), "how zeros are spread over layers", "erk")

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        return [*super().check(), *not_of_weights(self.criterion)]

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        start, end = site.step(self, "start"), site.step(self, "end")
        if end <= start:
            text = f"the end (step {end}) has to come after the start (step {start})"
            raise FieldError("end", text)
        return start, end

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        start, end = self.span(site)
        self.require_no_rewinds(site, start, end)
        require_gradients(self.criterion, start)
        quota = self.quota(site)
        if not quota.zeros:
            raise FieldError("sparsity", "prunes nothing, so there is nothing to grow back")
        names = site.names(self)
        events = [
            Event(start, self.name, "prune", names, quota, f"prune by {self.criterion}", True)
        ]
        steps = self._exchanges(site)
        for number, step in enumerate(steps, 1):
            share = self.share((step - start) / (end - start))
            label = f"exchange {share:.1%}"
            last = number == len(steps)
            events.append(Event(step, self.name, "regrow", names, None, label, last, share=share))
        return events

    def duties(self, site: Site) -> Sequence[Duty]:
        """See base class."""
        names = site.names(self)
        first, steps = [self.span(site)[0]], self._exchanges(site)
        return [
            *gatherings(self.name, names, first, CRITERIA[self.criterion], self.name),
            *gatherings(self.name, names, steps, GROWTHS[self.growth], self._growth_key),
        ]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        if event.action == "prune":
            assert event.quota is not None
            network.prune(event.layers, event.quota, self.criterion, key=self.name)
            return
        from pruneflow.operations.exchanging import exchange

        exchange(network, event.layers, event.share, self.growth, self._growth_key)

    def share(self, progress: float) -> float:
        """Of the weights left, how many are exchanged (Evci et al. 2020, section 3).

        Args:
            progress: From 0 at ``start`` to 1 at ``end``.
        """
        return self.drop_fraction / 2 * (1 + cos(pi * progress))

    @property
    def _growth_key(self) -> str:
        return f"{self.name}/growth"

    def _exchanges(self, site: Site) -> list[int]:
        """The step of every exchange."""
        start, end = self.span(site)
        every = site.duration(self, "every")
        if (end - start) // every > MAX_EVENTS:
            raise FieldError("every", f"{self.every} makes more than {MAX_EVENTS:,} events")
        if start + every >= end:
            raise FieldError(
                "every",
                f"{every} steps after the start (step {start}) comes the end (step {end}): there "
                "is no exchange between them",
            )
        return [*range(start + every, end, every)]
