"""What a channel scores: the mean of what makes it, wherever that is."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pruneflow.structure.groups import ChannelGroup


def channel_scores(group: ChannelGroup, scores: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The score of every channel: the mean of those that its producers have there.

    For the magnitude of weights it orders the channels of a group by their filters' l1 norms (Li
    et al. 2017, arXiv:1608.08710); that it is a mean makes channels of several groups comparable.

    Args:
        group: Of the channels.
        scores: Of the producers that count, each in its shape, by name; -inf where one is pruned
            already.

    Returns:
        float64 of shape (channels,) on the CPU; -inf where all are pruned already.
    """
    sums = torch.zeros(group.channels, dtype=torch.float64)
    sizes, pruned = torch.zeros_like(sums), torch.zeros_like(sums)
    for part in group.producers:
        if part.tensor in scores:
            rows = scores[part.tensor].detach().reshape(part.size, -1).double()
            gone = rows.isneginf()
            totals = rows.masked_fill(gone, 0).sum(1).cpu()
            zeros = gone.sum(1).double().cpu()
            for channel, indices in enumerate(part.indices):
                index = list(indices)
                sums[channel] += totals[index].sum()
                pruned[channel] += zeros[index].sum()
                sizes[channel] += len(index) * rows.shape[1]
    return (sums / sizes.clamp(min=1)).masked_fill(pruned.eq(sizes) & sizes.gt(0), -torch.inf)
