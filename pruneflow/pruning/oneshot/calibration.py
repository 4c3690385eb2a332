"""Calibration: the batches that one-shot pruning looks at, and what a network does with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn


class Calibration(Protocol):
    """Some batches; reading them moves nobody's loader and draws no random numbers."""

    @property
    def example(self) -> torch.Tensor:
        """The input of the first batch, (samples, ...)."""

    def batches(self) -> Iterator[Any]:
        """A pass over the batches, the same at every call."""

    def forward(self, model: nn.Module, batch: Any) -> Any:
        """Run the network on the inputs of a batch."""

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """The loss of a batch, a scalar that gradients flow from."""
