"""What a recipe is compiled against, and how a modifier says that a field does not fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pruneflow.modifiers.events import RateRewind
from pruneflow.pruning.scope import Layer, Targets
from pruneflow.timeline import Anchor, Horizon, Moment, Time

if TYPE_CHECKING:
    from pruneflow.modifiers.base import Modifier, TargetedModifier
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

    def left_out(self, modifier: TargetedModifier) -> list[str]:
        """Weights that a modifier would be about, but that are computed from other tensors."""
        targets = self.targets if modifier.targets is None else modifier.targets
        return targets.without(modifier.ignore).left_out(self.layers)

    def names(self, modifier: TargetedModifier) -> tuple[str, ...]:
        """The names of the prunable layers that a modifier is about.

        Raises:
            FieldError: As ``chosen``.
        """
        return tuple(layer.name for layer in self.chosen(modifier))

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
