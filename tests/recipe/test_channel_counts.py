"""Counts of channels against all ways to choose them, one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.channel_counts import ChannelCounts
from pruneflow.structure.groups import ChannelGroup, Part

WINDOW = (1, 2)


def layer(name: str, rows: int, columns: int) -> Layer:
    return Layer(name, ("Conv2d",), (rows, columns, *WINDOW))


@st.composite
def parts(draw: st.DrawFn, tensor: str, dim: int, channels: int) -> Part:
    """Of every channel one to three indices: as after a flattening, of different lengths."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=channels, max_size=channels))
    ends = [sum(sizes[: number + 1]) for number in range(channels)]
    indices = tuple(tuple(range(end - n, end)) for n, end in zip(sizes, ends, strict=True))
    return Part(tensor, dim, sum(sizes), indices)


@st.composite
def chains(draw: st.DrawFn) -> tuple[list[Layer], list[ChannelGroup]]:
    """Two or three layers, of which each but the last has a group that the next one reads."""
    channels = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    rows, columns, groups = [], [draw(st.integers(1, 3))], []
    for number, count in enumerate(channels):
        made, read = draw(parts(f"l{number}", 0, count)), draw(parts(f"l{number + 1}", 1, count))
        groups.append(ChannelGroup(f"l{number}", count, (made,), (read,)))
        rows.append(made.size)
        columns.append(read.size)
    rows.append(draw(st.integers(1, 3)))
    sides = zip(rows, columns, strict=True)
    return [layer(f"l{number}", *side) for number, side in enumerate(sides)], groups


def choices(
    groups: list[ChannelGroup], quota: Quota, fewest: dict[str, int]
) -> Iterator[dict[str, tuple[int, ...]]]:
    """Every choice of channels that meets a quota."""
    for counts in product(*(range(group.channels + 1) for group in groups)):
        named = {group.name: count for group, count in zip(groups, counts, strict=True)}
        if any(not fewest.get(n, 0) <= count <= quota.caps[n] for n, count in named.items()):
            continue
        if named == quota.layers if quota.layers is not None else sum(counts) == quota.zeros:
            subsets = [combinations(range(g.channels), named[g.name]) for g in groups]
            for chosen in product(*subsets):
                yield {g.name: some for g, some in zip(groups, chosen, strict=True)}


def gone(of: Layer, groups: list[ChannelGroup], rows: Collection[tuple[str, int]],
         columns: Collection[tuple[str, int]]) -> int:  # fmt: skip
    """Weights of a layer in some channels' rows or some channels' columns."""
    dead: list[set[int]] = [set(), set()]
    for group in groups:
        for part in group.parts:
            if part.tensor == of.name:
                chosen = (rows, columns)[part.dim]
                for channel, indices in enumerate(part.indices):
                    if (group.name, channel) in chosen:
                        dead[part.dim] |= set(indices)
    down, across, *window = of.shape
    left = (down - len(dead[0])) * (across - len(dead[1]))
    return (down * across - left) * window[0] * window[1]


@given(chain=chains(), data=st.data())
def test_bounds_of_channels_hold_for_every_choice_and_are_met(
    chain: tuple[list[Layer], list[ChannelGroup]], data: st.DataObject
) -> None:
    layers, groups = chain
    caps = {group.name: data.draw(st.integers(0, group.channels - 1)) for group in groups}
    counts = ChannelCounts(layers)
    first = {name: data.draw(st.integers(0, cap)) for name, cap in caps.items()}
    counts.prune(groups, Quota.fixed(first))
    quota = Quota(data.draw(st.integers(sum(first.values()), sum(caps.values()))), None, caps)
    counts.prune(groups, quota)
    whole = [layer.name for layer in layers]
    for shrunk in (False, True):
        found: dict[str, list[int]] = {name: [] for name in whole}
        alone: dict[str, list[int]] = {name: [] for name in whole}
        for chosen in choices(groups, quota, first):
            every = {(name, channel) for name, some in chosen.items() for channel in some}
            for one in layers:
                found[one.name].append(gone(one, groups, every, every if shrunk else ()))
                alone[one.name].append(gone(one, groups, (), every if shrunk else ()))
        for one in layers:
            low, high = counts.zeros(one.name)
            assert low <= min(found[one.name])
            assert high >= max(found[one.name])
            if not shrunk or len(groups) == 1:  # two groups' bounds need not be met at once
                assert (low, high) == (min(found[one.name]), max(found[one.name]))
            few, many = (n * counts.column(one.name) for n in counts.lost(one.name)[1])
            assert (few, many) == (min(alone[one.name]), max(alone[one.name]))
            assert counts.shrinks(one.name) == (
                shrunk and any(counts.lost(name)[0][1] for name in touching(one, groups))
            )
        counts.shrink(groups, dict.fromkeys(whole, 0), whole)


def touching(of: Layer, groups: list[ChannelGroup]) -> list[str]:
    return [group.name for group in groups for part in group.parts if part.tensor == of.name]


@pytest.mark.parametrize("quota", [Quota.fixed({"l0": 1}), Quota(1, None, {"l0": 3})])
def test_channels_do_not_grow_back(quota: Quota) -> None:
    part = Part("l0", 0, 4, ((0,), (1,), (2,), (3,)))
    counts = ChannelCounts([layer("l0", 4, 1)])
    counts.prune([ChannelGroup("l0", 4, (part,), ())], Quota.fixed({"l0": 2}))
    with pytest.raises(ValueError, match="asks for 1 channels of 'l0' where 2 are pruned already"):
        counts.prune([ChannelGroup("l0", 4, (part,), ())], quota)


@given(sizes=st.lists(st.integers(1, 3), min_size=2, max_size=5), room=st.integers(0, 40))
def test_where_single_weights_were_pruned_no_more_channels_go_than_have_room(
    sizes: list[int], room: int
) -> None:
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    made = tuple(tuple(range(end - n, end)) for n, end in zip(sizes, ends, strict=True))
    read = tuple((channel,) for channel in range(len(sizes)))
    group = ChannelGroup(
        "l0", len(sizes), (Part("l0", 0, sum(sizes), made),), (Part("l1", 1, len(sizes), read),)
    )
    counts = ChannelCounts([layer("l0", sum(sizes), 2), layer("l1", 3, len(sizes))])
    counts.shrink([group], {"l0": room, "l1": 0}, [])
    fit = [
        len(some)
        for count in range(len(sizes))
        for some in combinations(range(len(sizes)), count)
        if sum(sizes[channel] * 2 * 2 for channel in some) <= room
    ]
    assert counts.lost("l1") == ((0, 0), (0, max(fit)))
