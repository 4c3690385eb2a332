"""Duties: what a modifier does at every update of a span."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pruneflow.pruning.gathering import GatheredScore

if TYPE_CHECKING:
    import torch

    from pruneflow.network import Network


@dataclass(frozen=True)
class Duty:
    """A span of updates in which a modifier is at work.

    Attributes:
        modifier: Its name in the recipe.
        start: First step of the span: the update that begins there is its first.
        end: The step at which it is over.
    """

    modifier: str
    start: int
    end: int

    def covers(self, clock: int) -> bool:
        """Whether the update that begins at ``clock`` belongs to this span."""
        return self.start <= clock < self.end


@dataclass(frozen=True)
class RateSpan(Duty):
    """The modifier owns the learning rate; the span is one of the learning-rate clock.

    Attributes:
        rate: The rate of the update that begins at a step of the clock, from that step and the
            rate the module's own scheduler had when the span began.
    """

    rate: Callable[[int, float], float]


@dataclass(frozen=True)
class DecaySpan(Duty):
    """The modifier owns the weight decay.

    Attributes:
        decay: From the decay that a group of parameters has by itself, that of the span.
    """

    decay: Callable[[float], float]


@dataclass(frozen=True)
class Gathering(Duty):
    """Scores are gathered from gradients.

    Attributes:
        layers: The weights that are scored, by name.
        score: How a gradient changes them.
        key: Where they are kept in ``PruneState.scores``.
        at: The steps at which such an update begins; None: all of the span.
    """

    layers: tuple[str, ...]
    score: GatheredScore
    key: str
    at: frozenset[int] | None = None

    def covers(self, clock: int) -> bool:
        """See base class."""
        return super().covers(clock) and (self.at is None or clock in self.at)


@dataclass(frozen=True)
class GradientSpan(Duty):
    """Gradients are changed, right before they are clipped and used.

    Attributes:
        change: Is given those parameters by name that the update moves and whose gradients are
            there; it changes these in place, or sets them to None.
    """

    change: Callable[[Mapping[str, torch.nn.Parameter]], None]


class LossTerm(Protocol):
    """What is added to the loss of every batch while it is attached to a network."""

    def attach(self) -> None:
        """Begin to watch the network; again is as good as once."""

    def detach(self) -> None:
        """Let go of it."""

    def add(self, loss: torch.Tensor, scale: float) -> torch.Tensor:
        """The loss with what is added to it.

        Args:
            loss: That of the batch that the network has just seen.
            scale: What it was multiplied by already.
        """


@dataclass(frozen=True)
class LossSpan(Duty):
    """The modifier changes the loss.

    Attributes:
        term: Makes what is added, for a network.
    """

    term: Callable[[Network], LossTerm]
