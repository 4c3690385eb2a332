"""Keeping pruned weights at +0.0 from update to update, for as little as that takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim import Optimizer

from pruneflow.network import Network
from pruneflow.optimizer_memory import fill_second_moments, mask_memory, moved_by
from pruneflow.pruning.masks import put_back
from pruneflow.pruning.shards import is_sharded

EVERY = 64
"""Updates between two that put weights back whatever is known of them."""

Mark = tuple[int, int]


class Keeping:
    """Puts pruned weights back after an update, unless none of them can have moved.

    Where every weight moves by its own gradient and memory alone, a pruned one with zeros for
    both stays the +0.0 that it is. So nothing has to be done if nobody can have changed gradients
    after they were masked, weights since the last update, nor memory since it was cleared. What
    writes through ``.data`` shows nowhere, and is undone within ``EVERY`` updates; the engine does
    so at the recipe's end, too.

    Args:
        network: Whose weights.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.begin(is_alone=False)

    def begin(self, is_alone: bool) -> None:
        """Trust nothing of what was, for instance because there are other optimizers.

        Args:
            is_alone: Nobody changes gradients once they are masked, but for their scale, unless
                hooks on an optimizer's steps do.
        """
        self._is_alone = is_alone
        self._left: dict[int, Mark | None] = {}
        self._clean: set[int] = set()
        self._holds = False
        self._updates = 0

    def forget(self, optimizer: Optimizer) -> None:
        """An optimizer's memory may hold anything at pruned places, from now on."""
        self._clean.discard(id(optimizer))

    def note_masked(self, optimizer: Optimizer) -> None:
        """Right before an optimizer's update: all gradients hold zeros at pruned places."""
        network = self._network
        self._holds = (
            self._is_alone
            and network.is_exact(optimizer)
            and len(optimizer._optimizer_step_pre_hooks) == 1  # ours
            and bool(self._left)
            and self._left == _marks(network.masked[0])
        )
        if self._holds and id(optimizer) not in self._clean:
            pairs = dict(zip(*network.masked, strict=True))
            mask_memory(optimizer, pairs, but_filled=True)
            self._clean.add(id(optimizer))

    @torch.no_grad()
    def follow(self, optimizer: Optimizer, late: bool) -> None:
        """Right after an update.

        Args:
            optimizer: What has made it.
            late: Gradients were computed in it, and nobody has masked them.
        """
        network = self._network
        self._updates += 1  # the network's clock stands still once a recipe is over
        holds = self._holds and not late and self._updates % EVERY != 0
        self._holds = False
        is_full = network.state.clock % EVERY == 0
        weights, masks = network.masked
        if is_full or not holds:
            if len(network.optimizers) > 1:  # a graph may need the others
                weights, masks = moved_by(optimizer, network.weights.values(), weights, masks)
            put_back(weights, masks)
            pairs = dict(zip(weights, masks, strict=True))
            if late:  # gradients that were not masked have filled it
                mask_memory(optimizer, pairs)
            if is_full:
                fill_second_moments(optimizer, pairs)
            self.forget(optimizer)  # weight decay has told it of whatever a weight was
        now = _marks(network.masked[0])
        if len(weights) < len(network.masked[0]):  # only these were made right
            right = set(map(id, weights))
            now = {key: mark if key in right else self._left.get(key) for key, mark in now.items()}
        self._left = now

    def fill(self) -> None:
        """Right after events."""
        weights, masks = self._network.masked
        for optimizer in self._network.optimizers:
            fill_second_moments(optimizer, dict(zip(weights, masks, strict=True)))


def _marks(weights: Sequence[torch.Tensor]) -> dict[int, Mark | None]:
    """For each weight another one with every change that torch counts; none where it cannot."""
    if any(map(is_sharded, weights)):
        return {}
    return {id(weight): (weight.data_ptr(), weight._version) for weight in weights}
