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

from pruneflow.modifiers.duties import Duty
from pruneflow.modifiers.events import Event, RateRewind
from pruneflow.modifiers.fields import Patterns, TargetsKind, option
from pruneflow.pruning.scope import Layer, Targets
from pruneflow.registry import Registry
from pruneflow.timeline import Anchor, Horizon, Moment, Time

if TYPE_CHECKING:
    from torch import nn

    from pruneflow.network import Network
    from pruneflow.structure.groups import ChannelGroup


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
class Modifier:
    """Base of all declarations; the dataclass fields of a subclass are its YAML fields."""

    type: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any]] = {}
    owns_masks: ClassVar[bool] = False

    name: str = field(kw_only=False)

    @property
    def needs_batches(self) -> bool:
        """Whether it watches the network on calibration batches."""
        return False

    @property
    def needs_loss(self) -> bool:
        """Whether it needs the loss of such batches, too."""
        return False

    @property
    def needs_groups(self) -> bool:
        """Whether it needs to know which channels of the network go together."""
        return False

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

    def duties(self, site: Site) -> Sequence[Duty]:
        """What it does at every update of some span.

        Raises:
            FieldError: It does not fit this network or this run.
        """
        return ()

    def rate_rewinds(self, site: Site) -> Sequence[RateRewind]:
        """Where it turns the learning-rate clock back."""
        return ()

    def rate_horizon(self, site: Site) -> Horizon | None:
        """The learning-rate clock's length, where it turns that clock back."""
        return None

    def require_module(self, module: nn.Module) -> None:
        """Make sure that it finds what it needs in a network beyond its layers.

        Raises:
            FieldError: It does not.
        """

    @property
    def files(self) -> tuple[str, ...]:
        """The files it reads, by their paths in the recipe."""
        return ()

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
        vectors: The network's other parameters (``find_vectors``); None where nobody told.
        groups: Its groups of channels (``channel_groups``); None where nobody told.
    """

    modifiers: Mapping[str, Modifier]
    layers: Sequence[Layer]
    targets: Targets
    horizon: Horizon
    vectors: Sequence[Layer] | None = None
    groups: Sequence[ChannelGroup] | None = None
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

    def chosen(
        self, modifier: TargetedModifier, among: Sequence[Layer] | None = None
    ) -> list[Layer]:
        """The layers that a modifier is about.

        Args:
            modifier: It.
            among: What it may be about; by default the prunable layers.

        Raises:
            FieldError: A name matches nothing, or no layer is left.
        """
        targets = self.targets if modifier.targets is None else modifier.targets
        among = self.layers if among is None else among
        wrong = "targets"
        try:
            targets.choose(among)
            wrong = "ignore"
            return targets.without(modifier.ignore).choose(among)
        except ValueError as error:
            raise FieldError(wrong, str(error)) from None

    def known_vectors(self) -> Sequence[Layer]:
        """Biases and the scales of norms.

        Raises:
            FieldError: Nobody told which there are.
        """
        if self.vectors is None:
            text = "is about biases or norms: compile_plan needs vectors=find_vectors(model) too"
            raise FieldError("type", text)
        return self.vectors

    def known_groups(self) -> tuple[ChannelGroup, ...]:
        """Which channels go together.

        Raises:
            FieldError: Nobody told.
        """
        if self.groups is None:
            text = "is about channels: compile_plan needs groups=channel_groups(model, ...) too"
            raise FieldError("type", text)
        return tuple(self.groups)

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
