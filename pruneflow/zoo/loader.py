"""Batches of tensors in memory, in an order that a resume can find again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace

import torch

from pruneflow.errors import DataError
from pruneflow.zoo.augment import Augment

Batch = tuple[torch.Tensor, torch.Tensor]


class EpochLoader:
    """Yields batches whose order is a function of (seed, epoch); its position is (epoch, batch).

    How a batch is augmented is a function of (seed, epoch, batch): it does not depend on what was
    drawn before.

    Several processes divide every epoch: together their batches number b are the next
    ``batch_size`` times as many examples of the one order. Shuffled, every process gets as many
    examples as any other, for which a few at the beginning of the order come once more; in their
    own order, each example comes once, processes have as many batches as each other, and a batch
    may be larger by one.

    Args:
        inputs: Examples along the first dimension.
        labels: One for each.
        batch_size: Examples in a batch of one process; the last of an epoch may be smaller.
        shuffle: Draw a new order in every epoch.
        seed: Seeds those orders, and what ``augment`` draws.
        augment: What is done to every batch at random.
        finish: What makes an input of a batch of examples, after that.
        share: This process's number, and that of all processes that divide the examples.

    Raises:
        DataError: There are more processes than examples.
    """

    def __init__(
        self,
        inputs: torch.Tensor,
        labels: torch.Tensor,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        augment: Augment | None = None,
        finish: Callable[[torch.Tensor], torch.Tensor] | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if len(inputs) < share[1]:
            text = f"{len(inputs)} examples cannot be divided among {share[1]} processes"
            raise DataError(f"{text}: write a smaller trainer.devices")
        self.inputs = inputs
        self.labels = labels
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.augment = augment
        self.finish = finish
        self.share = share
        self.epoch = 0
        self.position = 0
        self.batch_sampler = SimpleNamespace(sampler=self)  # whose set_epoch Lightning calls

    def __len__(self) -> int:
        n, ranks = len(self.inputs), self.share[1]
        least = -(-n // ranks) if self.shuffle else n // ranks
        return -(-least // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # Whoever iterates may stop without running to the end: an epoch is over when the
        # next one is asked for.
        if self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        batches = self._batches()
        while self.position < len(self):
            chosen = batches[self.position]
            inputs = self._inputs(chosen)
            self.position += 1
            yield inputs, self.labels[chosen]

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch, if it is not the one at hand; the last may have been cut short."""
        if epoch != self.epoch:
            self.epoch, self.position = epoch, 0

    def state_dict(self) -> dict[str, int]:
        """Where in the data it is."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.epoch, self.position = state["epoch"], state["position"]

    def _batches(self) -> Sequence[torch.Tensor]:
        """The examples of each of this process's batches in this epoch."""
        order, (rank, ranks) = self._order(), self.share
        if self.shuffle:
            order = torch.cat([order, order[: -len(order) % ranks]])
        elif ranks > 1:
            return order[rank::ranks].tensor_split(len(self))
        return torch.split(order[rank::ranks], self.batch_size)

    def _order(self) -> torch.Tensor:
        if not self.shuffle:
            return torch.arange(len(self.inputs))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        return torch.randperm(len(self.inputs), generator=generator)

    def _inputs(self, chosen: torch.Tensor) -> torch.Tensor:
        inputs = self.inputs[chosen]
        if self.augment:
            inputs = self.augment(inputs, self._generator())
        return self.finish(inputs) if self.finish else inputs

    def _generator(self) -> torch.Generator:
        place = f"augment {self.seed} {self.epoch} {self.position}"
        if self.share[0]:
            place += f" rank {self.share[0]}"
        seed = int.from_bytes(hashlib.sha256(place.encode()).digest()[:8])
        return torch.Generator().manual_seed(seed)
