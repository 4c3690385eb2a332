"""``acdc``: alternate compressed and dense phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruneflow.modifiers.base import modifier
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Duration, Instant, option
from pruneflow.modifiers.level import SparsityLevel
from pruneflow.modifiers.ramp import MAX_EVENTS
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.pruning.allocation import Quota
from pruneflow.timeline import Moment, Time, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network


@modifier("acdc")
@dataclass(frozen=True, kw_only=True)
class ACDC(SparsityLevel):
    """Alternate compressed and dense phases of training, and end compressed.

    At 'start', after a dense warm-up, the weights of smallest magnitude are pruned; a phase
    later they are all let go, from zero; a phase later the then smallest are pruned, and so on.
    A dense phase is begun only where it is over by 'end'. From the last compression on the
    network stays compressed, so what remains of the run fine-tunes it.
    """

    paper = "Peste et al. 2021, arXiv:2106.12379"
    example = {"sparsity": 0.5, "start": "1ep", "phase": "1ep", "end": "3ep"}

    start: Moment = option(Instant(), "the first compression, after a warm-up", parse_time("10%"))
    phase: Time = option(Duration(), "length of a phase", parse_time("5ep"))
    end: Moment = option(Instant(), "no compression is later than this", parse_time("85%"))

    @property
    def needs_whole(self) -> tuple[str, Any] | None:
        """See base class."""
        return ("allocation", self.allocation) if self.allocation == "lamp" else None

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        steps = self._compressions(site)
        return steps[0], steps[-1]

    def needed_steps(self, site: Site) -> int:
        """See base class."""
        return site.step(self, "end")

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        steps, phase = self._compressions(site), site.duration(self, "phase")
        self.require_no_rewinds(site, steps[0], steps[-1])
        quota = self.quota(site)
        names = site.names(self)
        dense = Quota.fixed(dict.fromkeys(names, 0))
        events = []
        for number, step in enumerate(steps, 1):
            last = number == len(steps)
            label = f"compress {number} of {len(steps)}"
            events.append(Event(step, self.name, "prune", names, quota, label, last))
            if not last:
                label = f"dense phase {number} of {len(steps) - 1}"
                events.append(Event(step + phase, self.name, "grow", names, dense, label))
        return events

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        if event.action == "prune":
            assert event.quota is not None
            network.prune(event.layers, event.quota, "magnitude")
            return
        from pruneflow.operations.exchanging import grow_all

        grow_all(network, event.layers)

    def _compressions(self, site: Site) -> list[int]:
        """The step of every compression."""
        start, end = site.step(self, "start"), site.step(self, "end")
        phase = site.duration(self, "phase")
        if start + 2 * phase > end:
            raise FieldError(
                "end",
                f"between the start (step {start}) and the end (step {end}) there is no room for a "
                f"compressed and a dense phase of {phase} steps each",
            )
        if (end - start) // phase > MAX_EVENTS:
            raise FieldError("phase", f"{self.phase} makes more than {MAX_EVENTS:,} events")
        return [*range(start, end + 1, 2 * phase)]
