"""What a channel scores."""

from __future__ import annotations

import torch

from pruneflow.structure import ChannelGroup, Part
from pruneflow.structure.channel_scores import channel_scores


def group(name: str, channels: int, *producers: str, of: int = 1) -> ChannelGroup:
    """Channels that have ``of`` rows, ``channels`` apart, in each of its producers."""
    indices = tuple(tuple(c + channels * at for at in range(of)) for c in range(channels))
    parts = tuple(Part(each, 0, channels * of, indices) for each in (name, *producers))
    return ChannelGroup(name, channels, parts, (Part("next", 1, channels, indices),))


def test_a_channels_score_is_the_mean_of_its_weights_in_all_layers() -> None:
    scores = {"a": torch.tensor([[1.0, 3.0], [0.0, 0.0]]), "b": torch.tensor([[5.0], [3.0]])}
    assert channel_scores(group("a", 2, "b"), scores).tolist() == [3.0, 1.0]


def test_a_channel_of_several_rows_counts_them_all() -> None:
    scores = {"a": torch.tensor([[1.0], [2.0], [3.0], [6.0]])}
    assert channel_scores(group("a", 2, of=2), scores).tolist() == [2.0, 4.0]


def test_only_what_is_pruned_whole_is_gone() -> None:
    gone = -torch.inf
    scores = {"a": torch.tensor([[gone, gone], [gone, 4.0]]), "b": torch.tensor([[gone], [5.0]])}
    assert channel_scores(group("a", 2, "b"), scores).tolist() == [gone, 3.0]
