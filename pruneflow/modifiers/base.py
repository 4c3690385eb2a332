"""What a modifier is: a frozen declaration that compiles to events.

A modifier holds no state. Before training it is compiled against a ``Site`` (the network's
layers, the run's length, the other modifiers) into events at integer steps; during training each
event is fired once, on the network it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pruneflow.modifiers.duties import Duty
from pruneflow.modifiers.events import Event, RateRewind
from pruneflow.modifiers.fields import Patterns, TargetsKind, option
from pruneflow.pruning.scope import Targets
from pruneflow.registry import Registry
from pruneflow.timeline import Horizon

if TYPE_CHECKING:
    from torch import nn

    from pruneflow.modifiers.site import Site
    from pruneflow.network import Network


@dataclass(frozen=True)
class Modifier:
    """Base of all declarations; the dataclass fields of a subclass are its YAML fields."""

    type: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any]] = {}
    owns_masks: ClassVar[bool] = False
    resolved: ClassVar[frozenset[str]] = frozenset()
    """Fields that say nothing beyond the events and duties which the modifier is compiled to."""

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

    @property
    def needs_whole(self) -> tuple[str, Any] | None:
        """The field, and its value, that only a process which holds whole weights can do."""
        return "type", self.type

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


MODIFIERS: Registry[type[Modifier]] = Registry("modifier type", "pruneflow.modifiers")


def modifier(name: str) -> Callable[[type[Modifier]], type[Modifier]]:
    """Class decorator: give a modifier its name in recipes."""

    def add(cls: type[Modifier]) -> type[Modifier]:
        cls.type = name
        return MODIFIERS.register(name)(cls)

    return add
