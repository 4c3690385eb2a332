"""Rewinding: snapshots of a network, its schedule and its memory, and the way back to them."""

from __future__ import annotations

import torch

from pruneflow import snapshots
from pruneflow.network import Network
from pruneflow.optimizer_memory import restore_schedule, schedule_state
from pruneflow.state import detached_copy


def take_snapshot(network: Network, key: str, weights: bool) -> None:
    """Keep what ``rewind`` restores: the schedule, and the weights where asked for."""
    state = network.state
    snapshot = (
        snapshots.take(network.model, network.optimizers, network.averages) if weights else {}
    )
    snapshot["rate_clock"] = state.rate_clock
    snapshot["own_rates"] = detached_copy(state.own_rates)
    snapshot["schedule"] = schedule_state(network.schedulers, network.optimizers)
    state.snapshots[key] = snapshot
    state.unsettled_snapshot = key


@torch.no_grad()
def rewind(network: Network, key: str) -> None:
    """Go back to a snapshot; masks stay, and what comes back is masked."""
    state = network.state
    snapshot = state.snapshots[key]
    if "tensors" in snapshot:
        snapshots.restore(snapshot, network.model, network.optimizers, network.averages)
        state.scores.clear()
    state.rate_clock = snapshot["rate_clock"]
    state.own_rates = detached_copy(snapshot["own_rates"])
    restore_schedule(network.schedulers, network.optimizers, snapshot["schedule"])
    state.unsettled_rewind = key
    network.enforce()


def settle(network: Network) -> None:
    """Right before a batch: make good what schedulers did behind our back.

    One that waits for a metric steps after validation, and so after the events of an
    epoch's end: a snapshot of that moment has to have that step, a rewind must not.
    """
    state, schedulers, optimizers = network.state, network.schedulers, network.optimizers
    if state.unsettled_snapshot:
        kept = schedule_state(schedulers, optimizers)
        state.snapshots[state.unsettled_snapshot]["schedule"] = kept
    if state.unsettled_rewind:
        kept = state.snapshots[state.unsettled_rewind]["schedule"]
        restore_schedule(schedulers, optimizers, kept)
    state.unsettled_snapshot = state.unsettled_rewind = ""


@torch.no_grad()
def redraw_weights(network: Network, key: str) -> None:
    """Random re-initialization: shuffle the initial values of every trained tensor within it.

    Where initial values are drawn independently of each other, this is a fresh draw.

    Args:
        network: What to initialize again.
        key: The snapshot that holds the initial values, those of pruned weights too.
    """
    initial = network.state.snapshots[key]["tensors"]
    for name, weight in network.weights.items():
        if weight.requires_grad:
            values = initial[name].reshape(-1)
            order = torch.randperm(weight.numel(), generator=network.generator(name))
            weight.copy_(values[order.to(values.device)].view_as(weight))
    network.enforce()
