"""What modifiers have in common that are at work in a span of the run and change no masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pruneflow.modifiers.base import Modifier
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Instant, option
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.timeline import Moment, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network


def require_updates(site: Site) -> None:
    """Make sure that there is something to be at work in.

    Raises:
        FieldError: The run has no update.
    """
    if site.horizon.total == 0:
        text = "works while a network trains, and a run of length 0 trains nothing: remove it"
        raise FieldError("type", text)


@dataclass(frozen=True, kw_only=True)
class SpanModifier(Modifier):
    """A modifier whose events, unless it has its own, only tell that its span begins and ends."""

    begins: ClassVar[str] = "begins"
    ends: ClassVar[str] = "ends"

    start: Moment = option(Instant(), "when it begins", parse_time("0st"))
    end: Moment | None = option(Instant(), "when it is over; default: never", None)

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        require_updates(site)
        start = site.step(self, "start")
        if self.end is not None:
            end = site.step(self, "end")
        else:
            end = start + 1 if site.horizon.total is None else site.horizon.total
        if end <= start:
            mend = "" if self.end else ": the run ends there; start earlier, or lengthen it"
            text = f"the end (step {end}) is not after the start (step {start}){mend}"
            raise FieldError("end" if self.end else "start", text)
        return start, end

    def needed_steps(self, site: Site) -> int:
        """See base class."""
        start, end = self.span(site)
        return start if self.end is None and site.horizon.total is None else end

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        start, end = self.span(site)
        marks = [Event(start, self.name, "mark", label=self.begins)]
        if site.horizon.total is None or end < site.horizon.total:
            marks.append(Event(end, self.name, "mark", label=self.ends))
        return marks

    def fire(self, event: Event, network: Network) -> None:
        """See base class: a mark does nothing."""
