"""A plan: every event of a run at its step, with its exact total, before training begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pruneflow.errors import ResumeError
from pruneflow.modifiers.duties import Duty, RateSpan
from pruneflow.modifiers.events import Event, RateRewind
from pruneflow.pruning.parametrized import told
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.declaration import Recipe
from pruneflow.timeline import Horizon

AnyDuty = TypeVar("AnyDuty", bound=Duty)


def _past(step: int, modifier: str, action: str) -> str:
    return f"'{modifier}' {action} at step {step}"


@dataclass(frozen=True)
class PlannedEvent:
    """An event and what is known about the masks right after it.

    Attributes:
        event: What happens.
        zeros: Pruned weights over all layers of the plan, or None where that depends on weights.
        layers: For each layer the fewest and the most zeros; equal where they are fixed.
    """

    event: Event
    zeros: int | None
    layers: Mapping[str, tuple[int, int]] = field(repr=False)


def _step(row: PlannedEvent) -> int:
    return row.event.step


@dataclass(frozen=True)
class Plan:
    """A recipe compiled to integer steps.

    Attributes:
        recipe: What it was compiled from.
        horizon: Steps an epoch, and the run's total.
        layers: Every layer that gets a mask.
        rows: The events in the order they fire.
        duties: What modifiers do at every update of some span.
        rate_rewinds: Where that clock goes back.
        left_out: Weights that targets would mean, but that are computed from other tensors.
    """

    recipe: Recipe
    horizon: Horizon
    layers: tuple[Layer, ...]
    rows: tuple[PlannedEvent, ...]
    duties: tuple[Duty, ...]
    rate_rewinds: tuple[RateRewind, ...]
    left_out: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        assert self.horizon.total is not None
        return self.horizon.total

    @property
    def size(self) -> int:
        """Weights that can be pruned."""
        return sum(layer.size for layer in self.layers)

    @property
    def masked(self) -> list[str]:
        """Every parameter that gets a mask, by name: layers, and what goes with their channels."""
        names = [layer.name for layer in self.layers]
        for row in self.rows:
            if row.event.channels is not None:
                chosen = (g for g in row.event.groups if g.name in row.event.channels.caps)
                names += [part.tensor for group in chosen for part in group.producers]
        return list(dict.fromkeys(names))

    @property
    def events(self) -> list[Event]:
        """The events in the order they fire."""
        return [row.event for row in self.rows]

    @property
    def rate_spans(self) -> list[RateSpan]:
        """Who owns the learning rate, on the learning-rate clock."""
        return self.duties_of(RateSpan)

    def duties_of(self, kind: type[AnyDuty]) -> list[AnyDuty]:
        """The duties of one kind, in the order of their modifiers."""
        return [duty for duty in self.duties if isinstance(duty, kind)]

    def events_between(self, after: int, until: int) -> Iterator[Event]:
        """Events of the steps in ``(after, until]``."""
        first = bisect_right(self.rows, after, key=_step)
        return (row.event for row in self.rows[first : bisect_right(self.rows, until, key=_step)])

    def require_past(self, journal: Sequence[Mapping[str, Any]], clock: int) -> None:
        """Make sure that what happened until step ``clock`` is what this plan says.

        Raises:
            ResumeError: The journal is another recipe's, or that of a run of another length.
        """
        past = [row for row in self.rows if row.event.step <= clock]
        planned = [_past(row.event.step, row.event.modifier, row.event.action) for row in past]
        happened = [_past(e["step"], e["modifier"], e["event"]) for e in journal]
        left = [None if row.zeros is None else self.size - row.zeros for row in past]
        counts = [e["nonzeros"] for e in journal]
        for index in range(max(len(planned), len(happened))):
            here, there = planned[index : index + 1], happened[index : index + 1]
            if here != there:
                says, said = here or ["nothing"], there or ["nothing"]
            elif left[index] not in (None, counts[index]):
                says, said = [f"{left[index]:,} weights left"], [f"{counts[index]:,}"]
            else:
                continue
            raise ResumeError(
                f"the checkpoint (step {clock}) comes from another recipe or another length: "
                f"as event {index + 1} this one has {says[0]}, the checkpoint's journal {said[0]}"
            )

    def rate_clock(self, step: int) -> int:
        """The learning-rate clock at a step of the run."""
        clock = step
        for rewind in self.rate_rewinds:
            if rewind.step <= step:
                clock = rewind.clock + step - rewind.step
        return clock

    def rates(self, own: Sequence[float]) -> list[float]:
        """The rate of every update, given the module's own rate at each step of its clock."""
        result: list[float] = []
        taken: dict[str, float] = {}
        for step in range(self.total):
            clock = self.rate_clock(step)
            mine = own[min(clock, len(own) - 1)]
            span = next((s for s in self.rate_spans if s.covers(clock)), None)
            if span is None:
                result.append(mine)
            else:
                taken.setdefault(span.modifier, own[min(span.start, len(own) - 1)])
                result.append(span.rate(clock, taken[span.modifier]))
        return result

    def __str__(self) -> str:
        """One line an event."""
        epochs, weights = self.horizon.epoch(self.total), f"{self.size:,} weights"
        lines = [f"{self.recipe.name}: {self.total} steps ({epochs:g} epochs), {weights}"]
        if self.left_out:
            lines.append(told(self.left_out))
        for row in self.rows:
            event = row.event
            left = "?" if row.zeros is None else f"{row.zeros / self.size if self.size else 0:.2%}"
            does = f"{event.modifier}: {event.label or event.action}"
            lines.append(
                f"step {event.step:>6}  epoch {self.horizon.epoch(event.step):>6g}  "
                f"{left:>7} sparse  {does}"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """What ``plan.json`` holds."""
        return {
            "recipe": self.recipe.name,
            "digest": self.recipe.digest,
            "steps": self.total,
            "steps_per_epoch": self.horizon.steps_per_epoch,
            "weights": self.size,
            "layers": {layer.name: list(layer.shape) for layer in self.layers},
            **({"left_out": list(self.left_out)} if self.left_out else {}),
            "events": [self._row(row) for row in self.rows],
        }

    def _row(self, row: PlannedEvent) -> dict[str, Any]:
        event, zeros = row.event, row.zeros
        return {
            "step": event.step,
            "epoch": self.horizon.epoch(event.step),
            "modifier": event.modifier,
            "event": event.action,
            "label": event.label,
            "sparsity": None if zeros is None else zeros / self.size if self.size else 0.0,
            "nonzeros": None if zeros is None else self.size - zeros,
            "layers": {
                layer.name: [layer.size - most, layer.size - fewest]
                for layer in self.layers
                for fewest, most in [row.layers[layer.name]]
            },
        }
