"""What a modifier is: a frozen declaration that compiles to events.

A modifier holds no state. Before training it is compiled against a ``Site`` (the network's
layers, the run's length, the other modifiers) into events at integer steps; during training each
event is fired once, on the network it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from pruneflow.modifiers.fields import Patterns, TargetsKind, option
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.scope import Layer, Targets
from pruneflow.registry import Registry
from pruneflow.timeline import Anchor, Horizon, Moment, Time

if TYPE_CHECKING:
    from pruneflow.network import Network

ACTION_ORDER = ("snapshot", "prune", "change", "rewind", "freeze", "lr")
"""What an event may do, in the order of events that fall on one step."""


class FieldError(ValueError):
    """A value that is well formed but does not fit, and the field that holds it.

    Attributes:
        field: The field's name.
        modifier: Whose field, where it is not the one that was asked.
    """

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.modifier = ""
        super().__init__(message)


@dataclass(frozen=True)
class Event:
    """One thing that happens to the network right after step ``step``.

    Attributes:
        step: When, in optimizer updates since the start.
        modifier: The name of the modifier in the recipe.
        action: What kind of change, a word of ``ACTION_ORDER``; ``change`` is any change of
            weights that leaves masks alone.
        layers: The weights it touches, by name; empty where it is not about weights.
        quota: The zeros it leaves in those, for a ``prune``.
        label: A few words for people, e.g. ``round 3 of 11``.
        last: Whether the modifier's later events make no more of this kind.
        granularity: What goes together, for a ``prune``.
    """

    step: int
    modifier: str
    action: str
    layers: tuple[str, ...] = ()
    quota: Quota | None = None
    label: str = ""
    last: bool = False
    granularity: Granularity = UNSTRUCTURED


@dataclass(frozen=True)
class RateSpan:
    """A span of the learning-rate clock in which a modifier owns the rate.

    Attributes:
        modifier: The owner's name.
        start: First step of the span.
        end: The step at which the rate is given back.
        rate: The rate of the update that begins at a step of the clock, from that step and the
            rate the module's own scheduler had when the span began.
    """

    modifier: str
    start: int
    end: int
    rate: Callable[[int, float], float]

    def covers(self, clock: int) -> bool:
        """Whether the update that begins at ``clock`` belongs to this span."""
        return self.start <= clock < self.end


@dataclass(frozen=True)
class RateRewind:
    """At ``step`` the learning-rate clock goes back to ``clock``."""

    step: int
    clock: int


@dataclass(frozen=True)
class Modifier:
    """Base of all declarations; the dataclass fields of a subclass are its YAML fields."""

    type: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any]] = {}
    owns_masks: ClassVar[bool] = False

    name: str = field(kw_only=False)

    def check(self) -> Sequence[tuple[str, str]]:
        """Mistakes that show without a network, as pairs of field and message."""
        return ()

    def span(self, site: Site) -> tuple[int, int]:
        """First and last step of what it does, both included."""
        raise NotImplementedError

    def needed_steps(self, site: Site) -> int:
        """The shortest run in which it can do its work."""
        return self.span(site)[1]

    def events(self, site: Site) -> Sequence[Event]:
        """What it does, in order.

        Raises:
            FieldError: It does not fit this network or this run.
        """
        raise NotImplementedError

    def rate_spans(self, site: Site) -> Sequence[RateSpan]:
        """Where it owns the learning rate."""
        return ()

    def rate_rewinds(self, site: Site) -> Sequence[RateRewind]:
        """Where it turns the learning-rate clock back."""
        return ()

    def rate_horizon(self, site: Site) -> Horizon | None:
        """The learning-rate clock's length, where it turns that clock back."""
        return None

    def fire(self, event: Event, network: Network) -> None:
        """Do to the network what the event says."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TargetedModifier(Modifier):
    """A modifier that is about some layers."""

    targets: Targets | None = option(
        TargetsKind(), "which layers; replaces the recipe's own targets", None
    )
    ignore: tuple[str, ...] = option(Patterns(), "layers to leave out of the targets", ())


@dataclass(frozen=True)
class Site:
    """What a recipe is compiled against.

    Attributes:
        modifiers: All modifiers of the recipe, by name.
        layers: The network's prunable layers.
        targets: The recipe's default targets.
        horizon: The run's clock.
    """

    modifiers: Mapping[str, Modifier]
    layers: Sequence[Layer]
    targets: Targets
    horizon: Horizon
    _resolving: list[Anchor] = field(default_factory=list)

    def step(self, modifier: Modifier, name: str, horizon: Horizon | None = None) -> int:
        """The step that a modifier's field ``name`` means.

        Raises:
            FieldError: It cannot be known: an unknown or circular reference, or no length.
        """
        try:
            return self._resolve(getattr(modifier, name), horizon or self.horizon)
        except FieldError:
            raise
        except ValueError as error:
            raise FieldError(name, str(error)) from None

    def duration(self, modifier: Modifier, name: str, horizon: Horizon | None = None) -> int:
        """Like ``step``, for a length of time that must be one step at least."""
        steps = self.step(modifier, name, horizon)
        if steps < 1:
            raise FieldError(name, f"{getattr(modifier, name)} rounds to no step at all")
        return steps

    def chosen(self, modifier: TargetedModifier) -> list[Layer]:
        """The layers that a modifier is about.

        Raises:
            FieldError: A name matches nothing, or no layer is left.
        """
        targets = self.targets if modifier.targets is None else modifier.targets
        wrong = "targets"
        try:
            targets.choose(self.layers)
            wrong = "ignore"
            return targets.without(modifier.ignore).choose(self.layers)
        except ValueError as error:
            raise FieldError(wrong, str(error)) from None

    @cached_property
    def rate_horizon(self) -> Horizon:
        """The clock of learning rates: the run's, or one round's where rounds rewind it."""
        for modifier in self.modifiers.values():
            if (horizon := modifier.rate_horizon(self)) is not None:
                return horizon
        return self.horizon

    @cached_property
    def rate_rewinds(self) -> tuple[RateRewind, ...]:
        """Where the learning-rate clock goes back, in order."""
        found = [r for modifier in self.modifiers.values() for r in modifier.rate_rewinds(self)]
        return tuple(sorted(found, key=lambda rewind: rewind.step))

    def _resolve(self, moment: Moment, horizon: Horizon) -> int:
        if isinstance(moment, Time):
            return horizon.steps(moment)
        if moment in self._resolving:
            raise ValueError(f"'{moment}' depends on itself")
        self._resolving.append(moment)
        try:
            start, end = self.modifiers[moment.modifier].span(self)
        except FieldError as error:
            error.modifier = error.modifier or moment.modifier
            raise
        finally:
            self._resolving.remove(moment)
        return start if moment.edge == "start" else end


MODIFIERS: Registry[type[Modifier]] = Registry("modifier type", "pruneflow.modifiers")


def modifier(name: str) -> Callable[[type[Modifier]], type[Modifier]]:
    """Class decorator: give a modifier its name in recipes."""

    def add(cls: type[Modifier]) -> type[Modifier]:
        cls.type = name
        return MODIFIERS.register(name)(cls)

    return add
