"""The processes that share out the rows of weights, and numbers that they add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


@dataclass(frozen=True)
class Ranks:
    """Processes of which each holds the rows after those of the one before.

    Attributes:
        rank: This process.
        size: How many there are.
        group: How they talk; None for a process that holds all rows.
        device: Where numbers have to be for that.
    """

    rank: int = 0
    size: int = 1
    group: ProcessGroup | None = None
    device: str = "cpu"

    def sum(self, counts: torch.Tensor) -> torch.Tensor:
        """The sums over all processes, on each of them; of whole numbers, so in no order."""
        if self.group is None:
            return counts
        total = counts.to(self.device)
        distributed.all_reduce(total, group=self.group)
        return total.to(counts.device)

    def total(self, count: int) -> int:
        """The sum of one number."""
        return count if self.group is None else int(self.sum(torch.tensor([count])))


ALONE = Ranks()
"""One process that holds everything."""
