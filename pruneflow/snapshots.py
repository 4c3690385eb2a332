"""Snapshots of a network for rewinding: weights, buffers, averages and the optimizers' memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from pruneflow.errors import TrainingError
from pruneflow.pruning.shards import fitted, is_sharded, local
from pruneflow.state import Snapshot, detached_copy


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """A network's parameters and buffers, each once, whatever its ``state_dict`` leaves out."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def take(
    model: nn.Module, optimizers: Sequence[Optimizer], averages: Sequence[nn.Module]
) -> Snapshot:
    """A copy that shares nothing with the network.

    Args:
        model: Its parameters and buffers are kept.
        optimizers: Their memory and their groups.
        averages: Averaged copies of the weights, with their counters.
    """
    return {
        "tensors": {name: detached_copy(tensor) for name, tensor in tensors_of(model).items()},
        "optimizers": [detached_copy(optimizer.state_dict()) for optimizer in optimizers],
        "averages": [detached_copy(dict(average.state_dict())) for average in averages],
    }


@torch.no_grad()
def restore(
    snapshot: Snapshot,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    averages: Sequence[nn.Module],
) -> None:
    """Put a network back to a snapshot, which stays as it is.

    Raises:
        TrainingError: An optimizer has other parameter groups than it had.
    """
    for name, tensor in tensors_of(model).items():
        if name in snapshot["tensors"]:
            local(tensor).copy_(local(fitted(snapshot["tensors"][name], tensor)))
    for optimizer, kept in zip(optimizers, snapshot["optimizers"], strict=True):
        try:
            optimizer.load_state_dict(detached_copy(_fitted_memory(kept, optimizer)))
        except ValueError as error:
            raise TrainingError(f"cannot rewind the optimizer: {error}") from None
    for average, kept in zip(averages, snapshot["averages"], strict=False):
        average.load_state_dict(kept)


def _fitted_memory(kept: dict[str, Any], optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer's state of which that of each parameter is shared out like it."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    memory = {
        place: {
            key: fitted(value, weights[place])
            if is_sharded(weights[place]) and getattr(value, "shape", None) == weights[place].shape
            else value
            for key, value in values.items()
        }
        for place, values in kept["state"].items()
    }
    return {**kept, "state": memory}
