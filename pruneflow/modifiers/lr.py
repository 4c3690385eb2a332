"""``lr``: own the learning rate for a span of the run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import Modifier, modifier
from pruneflow.modifiers.duties import RateSpan
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Choice, Duration, Instant, Number, Times, option
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spanning import require_updates
from pruneflow.schedules import interpolate
from pruneflow.timeline import Anchor, Moment, Time, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network

RAMPS = ("linear", "cosine", "exponential")
STAIRS = ("step", "multistep")
POSITIVE = Number(0, above=True)
TAKES, GIVES = "takes the rate", "gives the rate back"


@modifier("lr")
@dataclass(frozen=True, kw_only=True)
class LearningRate(Modifier):
    """Own the learning rate from ``start`` until ``end``; then the module's own goes on.

    Absolute with ``init`` and ``final``; relative to the module's own rate at ``start`` with
    ``factor``. The first update of the span has the first rate, the last update the final one.
    Where ``iterative_prune`` rewinds the schedule, times are on the round's clock: every round
    runs through the same schedule, and ``%`` is a share of the round.
    """

    paper = "Han et al. 2015, arXiv:1506.02626; Loshchilov & Hutter 2017, arXiv:1608.03983"
    example = {"schedule": "cosine", "factor": 0.1, "start": "1ep", "end": "3ep"}

    start: Moment = option(Instant(), "when it takes the rate", parse_time("0st"))
    end: Moment | None = option(Instant(), "when it gives the rate back; default: never", None)
    schedule: str = option(Choice(("constant", *RAMPS, *STAIRS)), "how the rate moves", "constant")
    init: float | None = option(Number(0), "the rate at 'start'; default: the module's own", None)
    final: float | None = option(
        Number(0), "the last rate of a linear, cosine or exponential", None
    )
    factor: float | None = option(
        Number(0),
        "constant, step, multistep: multiplies the rate; ramps: the last rate as a "
        "multiple of the first",
        None,
    )
    gamma: float | None = option(POSITIVE, "step, multistep: multiplies the rate each time", None)
    every: Time | None = option(Duration(), "step: time between two multiplications", None)
    milestones: tuple[Time, ...] | None = option(
        Times(), "multistep: when it multiplies, counted from the end of the warm-up", None
    )
    warmup: Time = option(Duration(), "linear warm-up at the beginning", parse_time("0st"))

    @property
    def needs_whole(self) -> None:
        """See base class."""

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        needs = {
            "constant": ({"init", "factor"}, set()),
            "step": ({"every", "gamma"}, {"init", "factor"}),
            "multistep": ({"milestones", "gamma"}, {"init", "factor"}),
        }.get(self.schedule, ({"final", "factor"}, {"init"}))
        given = {
            name
            for name in ("init", "final", "factor", "gamma", "every", "milestones")
            if getattr(self, name) is not None
        }
        required, allowed = needs
        found = [
            (name, f"schedule '{self.schedule}' does not use '{name}'")
            for name in sorted(given - required - allowed)
        ]
        if self.schedule in STAIRS:
            found += [
                ("", f"schedule '{self.schedule}' needs '{name}'")
                for name in sorted(required - given)
            ]
        elif len(given & required) != 1:
            one, other = sorted(required)
            found.append(
                ("", f"schedule '{self.schedule}' needs exactly one of '{one}' and '{other}'")
            )
        if self.schedule == "exponential" and 0 in (self.init, self.final, self.factor):
            found.append(("", "schedule 'exponential' cannot start or end at 0"))
        return found

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        require_updates(site)
        horizon = site.rate_horizon
        start = self._edge(site, "start")
        if self.end is not None:
            end = self._edge(site, "end")
        elif horizon.total is not None:
            end = horizon.total
        else:
            end = start + 1
        if end <= start:
            mend = (
                "" if self.end else ": the run or round ends there; start earlier, or lengthen it"
            )
            text = f"the end (step {end}) is not after the start (step {start}){mend}"
            raise FieldError("end", text)
        return start, end

    def needed_steps(self, site: Site) -> int:
        """See base class."""
        start, end = self.span(site)
        is_open = self.end is None and site.rate_horizon.total is None
        return 0 if site.rate_rewinds else start if is_open else end

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        start, end = self.span(site)
        events: list[Event] = []
        turns = [(0, 0), *((rewind.step, rewind.clock) for rewind in site.rate_rewinds)]
        ends = [step for step, _ in turns[1:]] + [site.horizon.total or end]
        for (first, clock), stop in zip(turns, ends, strict=True):
            takes, gives = first + start - clock, first + end - clock
            if first <= takes < stop:
                events.append(Event(takes, self.name, "lr", label=TAKES))
            if first < gives < stop:
                events.append(Event(gives, self.name, "lr", label=GIVES))
        if not events:
            raise FieldError("start", f"step {start} of a round never comes: rounds are shorter")
        return events

    def duties(self, site: Site) -> Sequence[RateSpan]:
        """See base class."""
        start, end = self.span(site)
        warmup = site.step(self, "warmup", site.rate_horizon)
        if warmup >= end - start:
            raise FieldError("warmup", f"{self.warmup} is as long as the whole span")
        length = end - start - warmup
        every = site.duration(self, "every", site.rate_horizon) if self.every is not None else None
        stairs = sorted(site.rate_horizon.steps(time) for time in self.milestones or ())

        def rate(clock: int, own: float) -> float:
            first = own if self.init is None else self.init
            t = clock - start - warmup
            if t < 0:
                return self._after(first, 0, 1) * (t + warmup + 1) / (warmup + 1)
            if every is not None:
                return self._after(first, t // every, 1)
            if stairs:
                return self._after(first, bisect_right(stairs, t), 1)
            return self._after(first, t, length)

        return [RateSpan(self.name, start, end, rate)]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        if event.label == TAKES:
            from pruneflow.operations.rates import note_own_rates

            note_own_rates(network, self.name)

    def _edge(self, site: Site, name: str) -> int:
        moment = getattr(self, name)
        if isinstance(moment, Anchor) and site.rate_rewinds:
            raise FieldError(
                name,
                f"'{moment}' is a moment of the run, but iterative_prune "
                "rewinds the learning rate: write a time on the round's clock",
            )
        return site.step(self, name, site.rate_horizon)

    def _after(self, first: float, count: int, length: int) -> float:
        """The rate after ``count`` steps of a ramp or ``count`` stairs."""
        if self.schedule in RAMPS:
            last = first * self.factor if self.factor is not None else self.final
            assert last is not None
            p = count / (length - 1) if length > 1 else 1.0
            return interpolate(self.schedule, first, last, p) if count else first
        scaled = first * (1.0 if self.factor is None else self.factor)
        return scaled if self.gamma is None else scaled * self.gamma**count
