"""What an optimizer moves and remembers: weights, momenta, and the settings of its groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import optim
from torch.optim import Optimizer

from pruneflow.errors import TrainingError
from pruneflow.pruning.shards import local
from pruneflow.state import detached_copy
from pruneflow.structure import slice_tensor

BY_ELEMENT: tuple[type[Optimizer], ...] = (
    optim.ASGD,
    optim.Adadelta,
    optim.Adagrad,
    optim.Adam,
    optim.AdamW,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
    optim.RMSprop,
    optim.Rprop,
    optim.SGD,
)
"""Optimizers in which every weight moves by its own gradient and memory alone."""

_ADAM = (optim.Adam, optim.AdamW)
_SECOND_MOMENTS = ("exp_avg_sq", "max_exp_avg_sq")


@torch.no_grad()
def mask_memory(
    optimizer: Optimizer, masks: Mapping[torch.Tensor, torch.Tensor], but_filled: bool = False
) -> bool:
    """Clear an optimizer's memory of pruned weights.

    Args:
        optimizer: Any optimizer; only memory in the shape of its weight can be cleared.
        masks: The mask of each weight.
        but_filled: Not what ``fill_second_moments`` fills.

    Returns:
        Whether a pruned weight with no gradient cannot move any more.
    """
    stays = _SECOND_MOMENTS if but_filled and type(optimizer) in _ADAM else ()
    for weight, mask in masks.items():
        for key, value in optimizer.state.get(weight, {}).items():
            alike = isinstance(value, torch.Tensor) and value.shape == weight.shape
            if alike and key not in stays:
                local(value).mul_(local(mask))
    return type(optimizer) in BY_ELEMENT


@torch.no_grad()
def fill_second_moments(optimizer: Optimizer, masks: Mapping[torch.Tensor, torch.Tensor]) -> None:
    """Set the second moments of pruned weights to 1, where the optimizer is an Adam.

    A first moment of 0 divided by its root is 0 whatever it is; but the root of a zero, or of a
    denormal number that it would decay to, takes a CPU several times as long.

    Args:
        optimizer: Any optimizer.
        masks: The mask of each weight.
    """
    if type(optimizer) in _ADAM:
        for weight, mask in masks.items():
            moment = optimizer.state.get(weight, {}).get("exp_avg_sq")
            if moment is not None:
                local(moment).masked_fill_(local(mask) == 0, 1.0)


def replace_parameters(
    optimizer: Optimizer,
    new: Mapping[torch.Tensor, torch.Tensor],
    kept: Mapping[torch.Tensor, Mapping[int, Sequence[int]]],
) -> None:
    """Give an optimizer other parameters in the places of its own, in place.

    Args:
        optimizer: Its groups keep their settings.
        new: For each parameter the one that takes its place.
        kept: Of the memory of each, the indices of the dimensions that shrink; what is of one
            size there, such as a mean, stays.

    Raises:
        TrainingError: Its memory has no such dimensions.
    """
    if isinstance(optimizer, optim.LBFGS):
        raise TrainingError("LBFGS remembers all weights as one: its network cannot shrink")
    state = {
        new.get(weight, weight): {
            key: _cut(optimizer, weight, value, kept[weight]) if weight in new else value
            for key, value in memory.items()
        }
        for weight, memory in optimizer.state.items()
    }
    optimizer.state.clear()
    optimizer.state.update(state)
    for group in optimizer.param_groups:
        group["params"][:] = [new.get(weight, weight) for weight in group["params"]]


def _cut(
    optimizer: Optimizer, weight: torch.Tensor, value: Any, kept: Mapping[int, Sequence[int]]
) -> Any:
    if not isinstance(value, torch.Tensor) or value.numel() == 1:
        return value
    alike = value.dim() == weight.dim() and all(
        size in (1, own) for size, own in zip(value.shape, weight.shape, strict=True)
    )
    if not alike:
        raise TrainingError(
            f"{type(optimizer).__name__} remembers of a weight of shape {list(weight.shape)} a "
            f"tensor of shape {list(value.shape)}: its network cannot shrink"
        )
    shrinks = {dim: indices for dim, indices in kept.items() if value.shape[dim] > 1}
    return slice_tensor(value, shrinks)


def moved_by(
    optimizer: Optimizer,
    parameters: Iterable[torch.Tensor],
    weights: list[torch.Tensor],
    masks: list[torch.Tensor],
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Of weights and their masks, those that an optimizer's step moves.

    Args:
        optimizer: One that holds none of ``parameters`` works on copies, and may move all.
        parameters: All of the network.
        weights: Those that have a mask.
        masks: One for each.
    """
    own = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if own.isdisjoint(map(id, parameters)):
        return weights, masks
    chosen = [pair for pair in zip(weights, masks, strict=True) if id(pair[0]) in own]
    return [weight for weight, _ in chosen], [mask for _, mask in chosen]


def schedule_state(schedulers: Sequence[Any], optimizers: Sequence[Optimizer]) -> dict[str, Any]:
    """State of the schedulers, and the settings of the optimizers' groups that they steer."""
    return {
        "schedulers": [detached_copy(scheduler.state_dict()) for scheduler in schedulers],
        "settings": [
            [detached_copy(_settings(group)) for group in optimizer.param_groups]
            for optimizer in optimizers
        ],
    }


def restore_schedule(
    schedulers: Sequence[Any], optimizers: Sequence[Optimizer], kept: Mapping[str, Any]
) -> None:
    """Put back what ``schedule_state`` found."""
    for scheduler, state in zip(schedulers, kept["schedulers"], strict=True):
        scheduler.load_state_dict(detached_copy(state))
    for optimizer, groups in zip(optimizers, kept["settings"], strict=True):
        for group, settings in zip(optimizer.param_groups, groups, strict=False):
            group.update(detached_copy(settings))


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter group without its parameters: rate, momentum, decay and the like."""
    return {key: value for key, value in group.items() if key != "params"}
