"""Shrinking: taking channels that are pruned whole out of the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pruneflow.network import Network
from pruneflow.operations.channels import groups_of, pruned_channels
from pruneflow.optimizer_memory import replace_parameters
from pruneflow.structure import ChannelGroup, kept_slices, remove, slice_tensor


@torch.no_grad()
def shrink(network: Network, groups: Sequence[ChannelGroup]) -> None:
    """Remove every channel whose producers are all pruned; the last one of a group stays.

    What is left keeps its values, its mask, and the optimizers' memory of it. Optimizers stay the
    same objects and have the new parameters in the places of the old ones.

    Args:
        network: Whose model, optimizers, averages and masks shrink.
        groups: Of the network as it was at first.

    Raises:
        TrainingError: An optimizer's memory cannot follow.
    """
    state, now = network.state, groups_of(network, groups)
    gone = {}
    for group in now:
        pruned = pruned_channels([group], state.masks)[group.name]
        gone[group.name] = pruned[:-1] if len(pruned) == group.channels else pruned
    slices = kept_slices(now, gone)
    before: dict[str, torch.Tensor] = {
        name: weight for name, weight in network.weights.items() if name in slices
    }
    remove(network.model, slices)
    after: dict[str, torch.Tensor] = dict(network.model.named_parameters())
    new = {weight: after[name] for name, weight in before.items()}
    kept = {weight: slices[name] for name, weight in before.items()}
    for optimizer in network.optimizers:
        replace_parameters(optimizer, new, kept)
    for average in network.average_modules():
        remove(average, slices)
    for totals in (state.masks, *state.scores.values()):
        totals.update({n: slice_tensor(t, slices[n]) for n, t in totals.items() if n in slices})
    for name, weight in before.items():
        lost = weight.numel() - after[name].numel()
        state.removed[name] = state.removed.get(name, 0) + lost
    for group in groups:
        earlier = state.gone.get(group.name, [])
        left = [channel for channel in range(group.channels) if channel not in earlier]
        if found := gone.get(group.name):
            state.gone[group.name] = sorted([*earlier, *(left[channel] for channel in found)])
    network.rebind()
