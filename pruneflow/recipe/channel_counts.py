"""Channels that are gone, and what that makes of the layers: exactly, or within bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    from pruneflow.structure.groups import ChannelGroup, Part

Range = tuple[int, int]
"""The fewest and the most."""


class ChannelCounts:
    """Channels of every group that are pruned, and those that are removed.

    Args:
        layers: Of the plan.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._shapes = {layer.name: layer.shape for layer in layers}
        self._groups: tuple[ChannelGroup, ...] = ()
        self._pruned: dict[str, Range] = {}
        self._removed: dict[str, Range] = {}

    def prune(self, groups: Sequence[ChannelGroup], quota: Quota) -> None:
        """Enter a pruning of channels.

        Raises:
            ValueError: Channels would have to grow back.
        """
        self._groups = tuple(groups)
        before = {name: self._pruned.get(name, (0, 0)) for name in quota.caps}
        low, high = sum(few for few, _ in before.values()), sum(quota.caps.values())
        for name, (few, many) in before.items():
            if quota.layers is not None:
                few = many = quota.layers[name]
            else:
                cap = quota.caps[name]
                many = min(cap, quota.zeros - (low - few))
                few = max(few, quota.zeros - (high - cap))
            if before[name][0] > many:
                raise ValueError(
                    f"asks for {many:,} channels of '{name}' where {before[name][0]:,} are pruned "
                    "already: they do not grow back"
                )
            self._pruned[name] = few, many

    def shrink(
        self, groups: Sequence[ChannelGroup], most: Mapping[str, int], whole: Collection[str]
    ) -> None:
        """Enter a removal of what is pruned.

        Args:
            groups: Of the network.
            most: Zeros that each layer may have.
            whole: Layers of which only channels were pruned.
        """
        self._groups = tuple(groups)
        for group in groups:
            few, many = self._pruned.get(group.name, (0, 0))
            makers = [part for part in group.producers if part.tensor in self._shapes]
            # What else makes the channel, such as a bias, is masked with channels alone.
            if len(makers) == len(group.producers) and not all(m.tensor in whole for m in makers):
                many = min(
                    group.channels - 1,
                    *(_most(self._row_weights(part), most[part.tensor]) for part in makers),
                )
            self._removed[group.name] = min(few, group.channels - 1), many

    def lost(self, name: str) -> tuple[Range, Range]:
        """Rows of a layer that its channels have pruned, and columns that are removed."""
        rows = self._sum((p, self._pruned) for p in self._parts(name, 0))
        return rows, self._sum((p, self._removed) for p in self._parts(name, 1))

    def zeros(self, name: str) -> Range:
        """Weights of a layer that are pruned or removed, if only channels were."""
        (few, many), (least, most) = self.lost(name)
        rows, columns, *window = self._shapes[name]

        def gone(down: int, across: int) -> int:
            return (rows * columns - (rows - down) * (columns - across)) * prod(window)

        return gone(few, least), gone(many, most)

    def column(self, name: str) -> int:
        """Weights in a column of a layer."""
        rows, _, *window = self._shapes[name]
        return rows * prod(window)

    def shrinks(self, name: str) -> bool:
        """Whether anything of a layer may be removed."""
        parts = [*self._parts(name, 0), *self._parts(name, 1)]
        return any(self._removed.get(group, (0, 0))[1] for group, _ in parts)

    def _parts(self, name: str, dim: int) -> Iterable[tuple[str, Part]]:
        for group in self._groups:
            for part in group.parts:
                if (part.tensor, part.dim) == (name, dim):
                    yield group.name, part

    def _sum(self, counted: Iterable[tuple[tuple[str, Part], Mapping[str, Range]]]) -> Range:
        few = many = 0
        for (group, part), counts in counted:
            low, high = counts.get(group, (0, 0))
            sizes = sorted(len(indices) for indices in part.indices)
            few += sum(sizes[:low])
            many += sum(sizes[len(sizes) - high :])
        return few, many

    def _row_weights(self, part: Part) -> list[int]:
        """Weights of each channel in a layer."""
        return [len(indices) * prod(self._shapes[part.tensor][1:]) for indices in part.indices]


def _most(sizes: Sequence[int], room: int) -> int:
    """How many of these fit."""
    count = 0
    for size in sorted(sizes):
        if size > room:
            break
        room, count = room - size, count + 1
    return count
