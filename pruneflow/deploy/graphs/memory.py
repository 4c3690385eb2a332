"""Where results lie in one piece of memory, so that those alive together do not overlap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Tenant:
    """A result that needs room.

    Attributes:
        size: Units it takes.
        first: The operation that writes it.
        last: The last operation that reads it.
    """

    size: int
    first: int
    last: int

    def meets(self, other: Tenant) -> bool:
        """Whether both are alive at some operation."""
        return self.first <= other.last and other.first <= self.last


def place(tenants: Mapping[str, Tenant], unit: int = 1) -> tuple[dict[str, int], int]:
    """Offsets for all tenants, and the size of the memory.

    The largest tenant is placed first, each at the lowest offset that is free while it lives
    ("greedy by size", Pisarchyk & Lee 2020).

    Args:
        tenants: By name.
        unit: Offsets are its multiples.
    """
    offsets: dict[str, int] = {}
    total = 0
    for name in sorted(tenants, key=lambda name: -tenants[name].size):
        tenant = tenants[name]
        offset = 0
        for other in sorted(offsets, key=offsets.__getitem__):
            if offset + tenant.size <= offsets[other]:
                break
            if tenant.meets(tenants[other]):
                end = offsets[other] + tenants[other].size
                offset = max(offset, -(-end // unit) * unit)
        offsets[name] = offset
        total = max(total, offset + tenant.size)
    return offsets, total
