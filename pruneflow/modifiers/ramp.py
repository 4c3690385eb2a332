"""Ramps of sparsity: how sparse at which step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pruneflow.modifiers.base import TargetedModifier
from pruneflow.modifiers.fields import (
    SPARSITY,
    Choice,
    Duration,
    GranularityKind,
    Instant,
    Number,
    PerLayer,
    TimeTable,
    option,
)
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.pruning.allocation import Sparsity
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.schedules import SHAPES, interpolate
from pruneflow.timeline import Moment, Time, parse_time

MAX_EVENTS = 100_000
POWER = 3.0
SLACK = 1e-4  # nobody writes 2/3 with more digits


@dataclass(frozen=True, kw_only=True)
class SparsityRamp(TargetedModifier):
    """A modifier whose sparsity rises along a schedule."""

    sparsity: float | dict[str, float] | None = option(
        PerLayer(SPARSITY),
        "share of the targeted weights that is zero in the end; granularity n:m says it by itself",
        None,
    )
    initial_sparsity: float = option(SPARSITY, "sparsity at 'start', where the ramp begins", 0.0)
    start: Moment = option(Instant(), "the first event", parse_time("0st"))
    end: Moment | None = option(Instant(), "the last event; left out: there is just one", None)
    every: Time = option(Duration(), "time between events", parse_time("1ep"))
    schedule: str | None = option(
        Choice([*SHAPES, "multistep"]),
        "the ramp's shape; default: cubic with an 'end', else constant",
        None,
    )
    power: float | None = option(
        Number(0, above=True),
        "exponent of schedule 'polynomial'; default: 3, as 'cubic' has it",
        None,
    )
    milestones: tuple[tuple[Time, float], ...] | None = option(
        TimeTable(SPARSITY), "for schedule 'multistep': the sparsity from each time on", None
    )
    granularity: Granularity = option(
        GranularityKind(),
        "what goes together; n:m and blocks are of one place in the window of a convolution",
        UNSTRUCTURED,
    )

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        found = []
        multistep = self._shape == "multistep"
        if multistep != (self.milestones is not None):
            found.append(("milestones", "'milestones' and 'schedule: multistep' go together"))
        if multistep and self.sparsity is not None:
            found.append(("sparsity", "the milestones give the sparsities; leave 'sparsity' out"))
        if multistep and self.end is not None:
            found.append(("end", "the milestones give the times; leave 'end' out"))
        if not multistep and self.goal is None:
            found.append(("", "required field 'sparsity' is missing"))
        if self._shape not in ("constant", "multistep") and self.end is None:
            found.append(("end", f"schedule '{self._shape}' needs an 'end'"))
        if self.power is not None and self._shape != "polynomial":
            found.append(("power", f"is of schedule 'polynomial', and this one is '{self._shape}'"))
        if self.initial_sparsity and self._shape in ("constant", "multistep"):
            text = f"is where a ramp begins, and schedule '{self._shape}' has none"
            mend = ": add an 'end'" if self.schedule is None else ""
            found.append(("initial_sparsity", text + mend))
        if contradiction := implied_sparsity(self.sparsity, self.granularity):
            found += contradiction
        elif isinstance(self.goal, float) and self.initial_sparsity > self.goal:
            found.append(
                (
                    "initial_sparsity",
                    f"{self.initial_sparsity:g} is above the final "
                    f"sparsity {self.goal:g}: weights would have to grow back",
                )
            )
        return found

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        if self.milestones is not None:
            table = self.sparsities(site)
            return table[0][0], table[-1][0]
        start = site.step(self, "start")
        end = start if self.end is None else site.step(self, "end")
        if end < start:
            text = f"the end (step {end}) is before the start (step {start})"
            if isinstance(self.end, Time) and self.end.unit == "%":
                text += f" in a run of {site.horizon.total} steps: train longer, or start earlier"
            raise FieldError("end", text)
        return start, end

    @property
    def _shape(self) -> str:
        return self.schedule or ("constant" if self.end is None else "cubic")

    @property
    def goal(self) -> Sparsity | None:
        """The final sparsity, by whatever it is said; None where milestones say it."""
        return self.sparsity if self.granularity.sparsity is None else self.granularity.sparsity

    def sparsities(self, site: Site) -> list[tuple[int, Sparsity]]:
        """Each event's step and sparsity."""
        if self.milestones is not None:
            return [*self._table(site, self.milestones)]
        start, end = self.span(site)
        assert self.goal is not None
        if end == start:
            return [(end, self.goal)]
        every = site.duration(self, "every")
        if (end - start) // every > MAX_EVENTS:
            raise FieldError("every", f"{self.every} makes more than {MAX_EVENTS:,} events")
        steps = [*range(start, end, every), end]
        return [(step, self._at((step - start) / (end - start))) for step in steps]

    def _table(
        self, site: Site, milestones: tuple[tuple[Time, float], ...]
    ) -> list[tuple[int, float]]:
        """Steps and sparsities of a multistep schedule, both rising."""
        try:
            table = sorted((site.horizon.steps(time), value) for time, value in milestones)
        except ValueError as error:
            raise FieldError("milestones", str(error)) from None
        for (step, value), (later, next_value) in pairwise(table):
            if step == later:
                raise FieldError("milestones", f"two of them fall on step {step}")
            if value > next_value:
                text = f"sparsity falls from {value:g} to {next_value:g}: weights do not grow back"
                raise FieldError("milestones", text)
        if (implied := self.granularity.sparsity) is not None:
            step, value = table.pop()
            if not _near(value, implied):
                raise FieldError("milestones", f"in the end {_only(self.granularity)}")
            table.append((step, implied))
        return table

    def _at(self, p: float) -> Sparsity:
        goal = self.goal
        if isinstance(goal, Mapping):
            return {pattern: self._ramp(value, p) for pattern, value in goal.items()}
        assert goal is not None
        return self._ramp(goal, p)

    def _ramp(self, final: float, p: float) -> float:
        start = min(self.initial_sparsity, final)
        if p >= 1:
            return final
        if self._shape == "exponential":  # it is density that shrinks by equal factors
            return 1 - interpolate("exponential", 1 - start, 1 - final, p)
        return interpolate(self._shape, start, final, p, self.power or POWER)


def implied_sparsity(sparsity: Sparsity | None, granularity: Granularity) -> list[tuple[str, str]]:
    """The mistake of writing another sparsity than the one that a granularity has by itself."""
    implied = granularity.sparsity
    if sparsity is None or implied is None or _near(sparsity, implied):
        return []
    return [("sparsity", _only(granularity))]


def _near(sparsity: Sparsity, implied: float) -> bool:
    return not isinstance(sparsity, Mapping) and abs(sparsity - implied) < SLACK


def _only(granularity: Granularity) -> str:
    return f"{granularity} means a sparsity of {granularity.sparsity:g}: write that, or nothing"
