"""Which indices stay when channels go, and tensors without the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch

from pruneflow.errors import did_you_mean
from pruneflow.structure.groups import ChannelGroup, Part

Gone = Mapping[str, Collection[int]]
"""Of each group, by its name, the channels that go."""

Slices = dict[str, dict[int, tuple[int, ...]]]
"""Of each tensor, by its name, and each dimension that shrinks: the indices that stay, rising."""


def kept_slices(groups: Sequence[ChannelGroup], gone: Gone) -> Slices:
    """What stays of every tensor that loses something.

    Raises:
        ValueError: There is no such group or channel, or a group would lose its last one.
    """
    lost: dict[tuple[str, int], set[int]] = {}
    sizes: dict[tuple[str, int], int] = {}
    for group, channels in _chosen(groups, gone):
        for part in group.parts:
            place = part.tensor, part.dim
            sizes[place] = part.size
            lost.setdefault(place, set()).update(_indices(part, channels))
    slices: Slices = {}
    for (tensor, dim), indices in lost.items():
        if indices:
            stays = (i for i in range(sizes[tensor, dim]) if i not in indices)
            slices.setdefault(tensor, {})[dim] = tuple(stays)
    return slices


def producer_rows(groups: Sequence[ChannelGroup], gone: Gone) -> dict[str, tuple[int, ...]]:
    """The indices, in dimension 0 of each producer, that have to be zero for channels to be gone.

    Raises:
        ValueError: See ``kept_slices``.
    """
    rows: dict[str, set[int]] = {}
    for group, channels in _chosen(groups, gone):
        for part in group.producers:
            rows.setdefault(part.tensor, set()).update(_indices(part, channels))
    return {tensor: tuple(sorted(indices)) for tensor, indices in rows.items() if indices}


def groups_after(groups: Sequence[ChannelGroup], gone: Gone) -> tuple[ChannelGroup, ...]:
    """The groups of the network without those channels; one with a single channel left is none.

    Raises:
        ValueError: See ``kept_slices``.
    """
    slices = kept_slices(groups, gone)

    def after(part: Part, stays: Sequence[int]) -> Part:
        kept = slices.get(part.tensor, {}).get(part.dim, tuple(range(part.size)))
        place = {old: new for new, old in enumerate(kept)}
        indices = tuple(tuple(place[i] for i in part.indices[c]) for c in stays)
        return replace(part, size=len(kept), indices=indices)

    result = []
    for group in groups:
        stays = [c for c in range(group.channels) if c not in gone.get(group.name, ())]
        if len(stays) > 1:
            producers, consumers, buffers = (
                tuple(after(part, stays) for part in parts)
                for parts in (group.producers, group.consumers, group.buffers)
            )
            result.append(ChannelGroup(group.name, len(stays), producers, consumers, buffers))
    return tuple(result)


def slice_tensor(tensor: torch.Tensor, slices: Mapping[int, Sequence[int]]) -> torch.Tensor:
    """A contiguous copy of a tensor with only some indices of some dimensions."""
    result = tensor.detach()
    for dim, indices in slices.items():
        index = torch.tensor(indices, dtype=torch.long, device=tensor.device)
        result = result.index_select(dim, index)
    return result if slices else result.clone()


def _chosen(
    groups: Sequence[ChannelGroup], gone: Gone
) -> list[tuple[ChannelGroup, Collection[int]]]:
    by_name = {group.name: group for group in groups}
    for name, channels in gone.items():
        if name not in by_name:
            raise ValueError(f"no group of channels '{name}'.{did_you_mean(name, by_name)}")
        count = by_name[name].channels
        if wrong := [c for c in channels if not 0 <= c < count]:
            raise ValueError(f"'{name}' has {count} channels, and none of number {wrong[0]}")
        if len(set(channels)) == count:
            raise ValueError(f"all {count} channels of '{name}' would go; one has to stay")
    return [(by_name[name], channels) for name, channels in gone.items()]


def _indices(part: Part, channels: Collection[int]) -> list[int]:
    return [index for channel in channels for index in part.indices[channel]]
