"""Pruning whole channels: the rows of all layers that make them, their biases and batch norms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch

from pruneflow.network import Network
from pruneflow.pruning.criteria import CRITERIA, BatchNormScale
from pruneflow.pruning.gathering import GatheredScore
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.scope import find_vectors
from pruneflow.pruning.scoring import streams
from pruneflow.structure import ChannelGroup, groups_after, producer_rows
from pruneflow.structure.channel_scores import channel_scores

if TYPE_CHECKING:
    from pruneflow.modifiers.events import Event


def groups_of(network: Network, groups: Sequence[ChannelGroup]) -> tuple[ChannelGroup, ...]:
    """Groups of the network as it was at first, as they are now."""
    return groups_after(groups, network.state.gone)


def pruned_channels(
    groups: Sequence[ChannelGroup], masks: Mapping[str, torch.Tensor]
) -> dict[str, list[int]]:
    """The channels of each group that masks prune wherever they are made."""
    pruned = {}
    for group in groups:
        dead = [True] * group.channels
        for part in group.producers:
            mask = masks.get(part.tensor)
            alive = [True] * part.size if mask is None else mask.view(part.size, -1).any(1).tolist()
            for channel, indices in enumerate(part.indices):
                dead[channel] &= not any(alive[index] for index in indices)
        pruned[group.name] = [channel for channel in range(group.channels) if dead[channel]]
    return pruned


@torch.no_grad()
def prune_channels(network: Network, event: Event, criterion: str, key: str) -> None:
    """Mask the channels that score lowest, until as many are gone as an event says.

    Args:
        network: Whose masks change.
        event: A pruning of channels.
        criterion: Scores their weights, or the scales of their batch norms.
        key: Where scores were gathered, for a criterion that gathers them.

    Raises:
        NonFiniteError: A weight is NaN or infinite.
        FrozenMaskError: The mask of one of the layers is frozen.
        TrainingError: A weight has had no gradient to be scored by, or more channels are gone.
    """
    assert event.channels is not None
    network.require_finite(event.layers)
    state, how = network.state, CRITERIA[criterion]
    groups = [g for g in groups_of(network, event.groups) if g.name in event.channels.caps]
    scored = _scales(network, groups) if isinstance(how, BatchNormScale) else event.layers
    network.require_finite(scored)
    pruned = pruned_channels(groups, state.masks)
    quota = network.remaining(
        event.channels,
        {name: len(channels) for name, channels in state.gone.items()},
        {name: len(channels) for name, channels in pruned.items()},
    )
    if not groups:
        return
    weights = network.scored(scored, how, key)
    passes = streams(weights, state.masks, how, network.generator)
    scores = {n: torch.cat(list(start())).view(weights[n].shape) for n, start in passes.items()}
    each = {group.name: channel_scores(group, scores) for group in groups}
    shapes = {name: tuple(found.shape) for name, found in each.items()}
    starts = {name: partial(chunks, found) for name, found in each.items()}
    chosen = event.granularity.choose(starts, shapes, quota.of(each))
    gone = {name: marks.nonzero().squeeze(1).tolist() for name, marks in chosen.items()}
    kept = {}
    for name, rows in producer_rows(groups, gone).items():
        mask = state.masks.get(name)
        stays = torch.ones_like(network.weights[name]) if mask is None else mask.clone()
        stays[list(rows)] = 0
        kept[name] = stays.ne(0)
    network.install(kept)
    if isinstance(how, GatheredScore) and how.since != "start":
        state.scores.pop(key, None)


def _scales(network: Network, groups: Iterable[ChannelGroup]) -> list[str]:
    """The scales of the batch norms that channels of groups go through, by name."""
    makers = {part.tensor for group in groups for part in group.producers}
    scales = (vector.name for vector in find_vectors(network.model) if vector.is_scale)
    return [name for name in scales if name in makers]
