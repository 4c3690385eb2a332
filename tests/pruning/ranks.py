"""Processes that share out rows, played by threads of one process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import TypeVar

import torch

from pruneflow.pruning.shards import Ranks

Found = TypeVar("Found")


@dataclass(frozen=True)
class Thread(Ranks):
    """One of them; ``table`` is where all lay down their numbers."""

    table: list[torch.Tensor] = field(default_factory=list)
    meeting: Barrier = field(default_factory=lambda: Barrier(1))

    def sum(self, counts: torch.Tensor) -> torch.Tensor:
        self.table[self.rank] = counts
        self.meeting.wait()
        total = torch.stack(self.table).sum(0)
        self.meeting.wait()
        return total


def on_ranks(size: int, work: Callable[[Ranks], Found]) -> list[Found]:
    """What each of them finds."""
    table, meeting = [torch.zeros(0)] * size, Barrier(size, timeout=30)
    threads = [Thread(rank, size, table=table, meeting=meeting) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(work, threads))


def shared_out(tensors: Sequence[torch.Tensor], ranks: Ranks) -> list[torch.Tensor]:
    """What one of them holds of each tensor: as many rows as any, those after the one's before."""
    parts = []
    for tensor in tensors:
        each = -(-len(tensor) // ranks.size)
        parts.append(tensor[ranks.rank * each : (ranks.rank + 1) * each])
    return parts
