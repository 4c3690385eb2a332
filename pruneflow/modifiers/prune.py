"""``prune``: raise sparsity along a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import Event, FieldError, Site, TargetedModifier, modifier
from pruneflow.modifiers.fields import (
    PERCENT_HINT,
    SPARSITY,
    Choice,
    Count,
    Duration,
    GranularityKind,
    Instant,
    Number,
    PerLayer,
    TimeTable,
    option,
)
from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota, Sparsity
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.scope import Layer
from pruneflow.schedules import SHAPES, interpolate
from pruneflow.timeline import Moment, Time, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network

MAX_EVENTS = 100_000
SLACK = 1e-4  # nobody writes 2/3 with more digits


@modifier("prune")
@dataclass(frozen=True, kw_only=True)
class Prune(TargetedModifier):
    """Raise sparsity along a schedule, by a criterion, spread over layers by an allocation.

    Without 'end' it happens once, at 'start'. With 'end' it happens at 'start', then once every
    'every', and at 'end', where the sparsity is exactly the final one.
    """

    paper = "Zhu & Gupta 2017, arXiv:1710.01878"
    example = {"sparsity": 0.5, "start": "1ep", "end": "3ep", "every": "1ep"}
    owns_masks = True

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
    power: float = option(Number(0, above=True), "exponent of schedule 'polynomial'", 3.0)
    milestones: tuple[tuple[Time, float], ...] | None = option(
        TimeTable(SPARSITY), "for schedule 'multistep': the sparsity from each time on", None
    )
    criterion: str = option(Choice(CRITERIA), "which weights go first", "magnitude")
    granularity: Granularity = option(
        GranularityKind(),
        "what goes together; of a convolution, weights of one place in its window",
        UNSTRUCTURED,
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
        found = []
        multistep = self._shape == "multistep"
        if multistep != (self.milestones is not None):
            found.append(("milestones", "'milestones' and 'schedule: multistep' go together"))
        if multistep and self.sparsity is not None:
            found.append(("sparsity", "the milestones give the sparsities; leave 'sparsity' out"))
        if multistep and self.end is not None:
            found.append(("end", "the milestones give the times; leave 'end' out"))
        if not multistep and self._goal is None:
            found.append(("", "required field 'sparsity' is missing"))
        if self._shape not in ("constant", "multistep") and self.end is None:
            found.append(("end", f"schedule '{self._shape}' needs an 'end'"))
        implied = self.granularity.sparsity
        if self.sparsity is not None and implied is not None and not _near(self.sparsity, implied):
            found.append(("sparsity", _only(self.granularity)))
        elif isinstance(self.sparsity, Mapping):
            if self.allocation != "per_layer":
                found.append(("sparsity", "one for each layer needs 'allocation: per_layer'"))
        elif isinstance(self._goal, float) and self.initial_sparsity > self._goal:
            found.append(
                (
                    "initial_sparsity",
                    f"{self.initial_sparsity:g} is above the final "
                    f"sparsity {self._goal:g}: weights would have to grow back",
                )
            )
        return found

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        if self.milestones is not None:
            table = self._sparsities(site)
            return table[0][0], table[-1][0]
        start = site.step(self, "start")
        end = start if self.end is None else site.step(self, "end")
        if end < start:
            text = f"the end (step {end}) is before the start (step {start})"
            if isinstance(self.end, Time) and self.end.unit == "%":
                text += f" in a run of {site.horizon.total} steps: train longer, or start earlier"
            raise FieldError("end", text)
        return start, end

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        layers = site.chosen(self)
        try:
            self.granularity.require_fit(layers)
        except ValueError as error:
            raise FieldError("granularity", str(error)) from None
        shape = "" if self.granularity == UNSTRUCTURED else f", {self.granularity}"
        names = tuple(layer.name for layer in layers)
        steps = self._sparsities(site)
        return [
            Event(
                step,
                self.name,
                "prune",
                names,
                self._quota(layers, sparsity),
                label=f"prune {number} of {len(steps)}{shape}",
                last=number == len(steps),
                granularity=self.granularity,
            )
            for number, (step, sparsity) in enumerate(steps, 1)
        ]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        assert event.quota is not None
        network.prune(event.layers, event.quota, self.criterion, event.granularity)

    @property
    def _shape(self) -> str:
        return self.schedule or ("constant" if self.end is None else "cubic")

    @property
    def _goal(self) -> Sparsity | None:
        """The final sparsity, by whatever it is said; None where milestones say it."""
        return self.sparsity if self.granularity.sparsity is None else self.granularity.sparsity

    def _sparsities(self, site: Site) -> list[tuple[int, Sparsity]]:
        """Each event's step and sparsity."""
        if self.milestones is not None:
            return [*self._table(site, self.milestones)]
        start, end = self.span(site)
        assert self._goal is not None
        if end == start:
            return [(end, self._goal)]
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
        goal = self._goal
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
        return interpolate(self._shape, start, final, p, self.power)

    def _quota(self, layers: Sequence[Layer], sparsity: Sparsity) -> Quota:
        guard = Guard(self.max_layer_sparsity, self.min_nonzeros)
        try:
            allocation = ALLOCATIONS[self.allocation]
            return self.granularity.quota(allocation, layers, sparsity, guard)
        except ValueError as error:
            raise FieldError("sparsity", str(error)) from None


def _near(sparsity: Sparsity, implied: float) -> bool:
    return not isinstance(sparsity, Mapping) and abs(sparsity - implied) < SLACK


def _only(granularity: Granularity) -> str:
    return f"{granularity} means a sparsity of {granularity.sparsity:g}: write that, or nothing"
