"""Keeping pruned weights at +0.0 from update to update, for as little as that takes."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from pruneflow.network import Network
from pruneflow.optimizer_memory import fill_second_moments, mask_memory, moved_by
from pruneflow.pruning.masks import put_back
from pruneflow.pruning.shards import is_sharded

EVERY = 64
"""Updates between two that put weights back whatever is known of them."""


class Keeping:
    """Puts pruned weights back after an update, unless none of them can have moved.

    Where every weight moves by its own gradient and memory alone, a pruned one with zeros for
    both stays the +0.0 that it is. So nothing has to be done if nobody can have changed gradients
    after they were masked, nor weights since the last update. What writes through ``.data`` shows
    nowhere, and is undone within ``EVERY`` updates; the engine does so at the recipe's end, too.

    Args:
        network: Whose weights.

    Attributes:
        is_alone: Nobody changes gradients once they are masked, but for their scale, unless hooks
            on an optimizer's steps do.
    """

    def __init__(self, network: Network) -> None:
        self.is_alone = False
        self._network = network
        self._left: list[tuple[int, int]] | None = None
        self._holds = False

    def note_masked(self, optimizer: Optimizer) -> None:
        """Right before an optimizer's update: all gradients hold zeros at pruned places."""
        self._holds = (
            self.is_alone
            and self._network.is_exact(optimizer)
            and len(optimizer._optimizer_step_pre_hooks) == 1  # ours
            and self._left is not None
            and self._left == self._marks()
        )

    @torch.no_grad()
    def follow(self, optimizer: Optimizer, late: bool) -> None:
        """Right after an update.

        Args:
            optimizer: What has made it.
            late: Gradients were computed in it, and nobody has masked them.
        """
        network = self._network
        holds, self._holds = self._holds, False
        in_turn = network.state.clock % EVERY == 0
        if late or in_turn or not holds:
            weights, masks = network.masked
            if len(network.optimizers) > 1:  # a graph may need the others
                weights, masks = moved_by(optimizer, network.weights.values(), weights, masks)
            put_back(weights, masks)
            pairs = dict(zip(weights, masks, strict=True))
            if late:  # gradients that were not masked have filled it
                mask_memory(optimizer, pairs)
            if in_turn:
                fill_second_moments(optimizer, pairs)
        self._left = self._marks()

    def fill(self) -> None:
        """Right after events."""
        weights, masks = self._network.masked
        for optimizer in self._network.optimizers:
            fill_second_moments(optimizer, dict(zip(weights, masks, strict=True)))

    def _marks(self) -> list[tuple[int, int]] | None:
        """Other ones with every change of a weight that torch counts; None where it cannot."""
        weights, _ = self._network.masked
        if any(map(is_sharded, weights)):
            return None
        return [(weight.data_ptr(), weight._version) for weight in weights]
