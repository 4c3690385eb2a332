"""What a one-shot criterion is: it turns a network and its quota into marks of what goes.

A criterion never changes the network. It hands out one layer's change after the other, and whoever
asks installs each before asking for the next: so a layer may see the inputs that the layers
before it, pruned already, give.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.scope import PRUNABLE_TYPES, Layer
from pruneflow.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pruneflow.pruning.oneshot.calibration import Calibration


@dataclass(frozen=True)
class Change:
    """What is to happen to one layer.

    Attributes:
        name: The weight's name.
        pruned: Booleans of the weight's shape, True where it is pruned.
        weight: The weight's new values, of its shape and dtype, where the criterion gives some.
    """

    name: str
    pruned: torch.Tensor
    weight: torch.Tensor | None = None


@dataclass(frozen=True)
class Task:
    """What is to be pruned.

    Attributes:
        model: The network; criteria leave it as it is.
        names: The weights to prune.
        quota: How many of them are to go.
        calibration: What the network is watched on.
        masks: Ones and zeros of those that have a mask; what is pruned stays pruned.
        granularity: Which weights go together.
    """

    model: nn.Module
    names: Sequence[str]
    quota: Quota
    calibration: Calibration
    masks: Mapping[str, torch.Tensor] = field(default_factory=dict)
    granularity: Granularity = UNSTRUCTURED

    def weight(self, name: str) -> torch.Tensor:
        """A weight as it is now."""
        return self.model.get_parameter(name).detach()

    def already(self, name: str) -> torch.Tensor:
        """Booleans of a weight's shape, True where it was pruned before."""
        import torch

        weight, mask = self.weight(name), self.masks.get(name)
        pruned = torch.zeros_like(weight, dtype=torch.bool) if mask is None else mask == 0
        return pruned.to(weight.device)

    def layer_zeros(self, name: str) -> int:
        """How many weights of a layer are to go.

        Raises:
            ValueError: The quota leaves that to the scores of all layers together.
        """
        if self.quota.layers is None:
            raise ValueError(
                "scores of unlike layers do not compare here: choose an allocation that fixes "
                "the zeros of every layer, such as 'uniform' or 'per_layer'"
            )
        return self.quota.layers[name]

    def choose(
        self,
        scores: Mapping[str, torch.Tensor],
        quota: Quota,
        pruned: Mapping[str, torch.Tensor],
    ) -> dict[str, torch.Tensor]:
        """The lowest scores of a quota, by the task's granularity.

        Args:
            scores: Of each layer, in its weight's shape.
            quota: How many are to go.
            pruned: True where a weight is pruned already; it goes first.

        Returns:
            For each layer booleans of its weight's shape, True where pruned.
        """
        import torch

        from pruneflow.pruning.masks import chunks

        shapes = {name: tuple(part.shape) for name, part in scores.items()}
        starts = {
            name: partial(chunks, part.masked_fill(pruned[name], -torch.inf))
            for name, part in scores.items()
        }
        chosen = self.granularity.choose(starts, shapes, quota)
        return {name: chosen[name].view(shape) for name, shape in shapes.items()}


class OneShot(ABC):
    """One way to prune without training; immutable, its fields are the criterion's settings.

    Attributes:
        layerwise: Whether it needs to know the zeros of every layer beforehand.
        needs_loss: Whether it looks at gradients of a loss.
    """

    layerwise: ClassVar[bool] = False
    needs_loss: ClassVar[bool] = False

    def require_fit(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """Make sure that layers can be pruned so.

        Raises:
            ValueError: They cannot; the message says what to change.
        """
        granularity.require_fit(layers)

    @abstractmethod
    def prune(self, task: Task) -> Iterator[Change]:
        """The change of every layer, once; each is to be installed before the next is asked for.

        Raises:
            TrainingError: The network or its weights cannot be scored.
        """


ONESHOT: Registry[type[OneShot]] = Registry("one-shot criterion", "pruneflow.oneshot")


def require_products(layers: Sequence[Layer]) -> None:
    """Make sure that layers multiply their inputs by a matrix.

    Raises:
        ValueError: Some do not; the message names them.
    """
    misfits = [layer for layer in layers if not _is_product(layer)]
    if misfits:
        found = ", ".join(f"'{layer.name}' ({_described(layer)})" for layer in misfits)
        raise ValueError(
            f"it looks at what a layer's matrix multiplies, which only weights of "
            f"{', '.join(PRUNABLE_TYPES)} have, unlike {found}: ignore those, or choose "
            "another criterion"
        )


def _is_product(layer: Layer) -> bool:
    """Whether every module that holds the weight multiplies what it is called with by it."""
    names = (layer.name, *layer.aliases)
    return (
        sum(name in PRUNABLE_TYPES for name in layer.types) >= len(names)
        and all(f".{name}".endswith(".weight") for name in names)
        and "NonDynamicallyQuantizableLinear" not in layer.types  # attention never calls its own
    )


def _described(layer: Layer) -> str:
    return ", also ".join((layer.types[0], *(f"'{name}'" for name in layer.aliases)))
