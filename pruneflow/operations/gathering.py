"""Gathering scores from gradients, right before an update uses them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn
from torch.optim import Optimizer

from pruneflow.errors import TrainingError
from pruneflow.network import Network
from pruneflow.operations import ranks
from pruneflow.pruning.masks import is_finite
from pruneflow.pruning.shards import is_sharded, local

if TYPE_CHECKING:
    from pruneflow.modifiers.duties import Gathering


@torch.no_grad()
def mask_gradients(
    network: Network, gatherings: Iterable[Gathering], names: Collection[str] | None = None
) -> None:
    """Mask gradients; those who gather dense ones take them in before, as they are.

    Args:
        network: Whose gradients.
        gatherings: At work in this update.
        names: Of the weights; None: of all.
    """
    for gathering in gatherings:
        for name in gathering.layers if gathering.score.dense else ():
            if names is None or name in names:
                _forget_what_accumulates(network, gathering, name)
                _take_in(network, gathering, name)
    network.mask_gradients(names)


def about_to_move(network: Network, optimizer: Optimizer, scaled: bool) -> dict[str, nn.Parameter]:
    """The parameters that an optimizer's update moves, by name.

    Args:
        network: Whose parameters.
        optimizer: It, about to step.
        scaled: Whether it is known to take gradients that are scaled still.

    Raises:
        TrainingError: Their gradients are not those of the loss, but scaled ones.
    """
    if scaled or getattr(optimizer, "grad_scale", None) is not None:
        raise TrainingError(
            f"a fused {type(optimizer).__name__} takes gradients that are scaled still, and the "
            "recipe needs those of the loss: build the optimizer without fused=True, or call "
            "scaler.unscale_(optimizer) before scaler.step(optimizer)"
        )
    own = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    return {name: weight for name, weight in network.weights.items() if id(weight) in own}


def has_closure(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether an optimizer's step was given something that computes gradients."""
    return bool(len(args) > 1 or kwargs)


@torch.no_grad()
def gather(network: Network, gatherings: Sequence[Gathering], moved: Collection[str]) -> None:
    """Mask gradients and take them in, where that was not done after the backward pass.

    Args:
        network: Whose gradients; clipped ones perhaps, if they were masked before.
        gatherings: At work in this update.
        moved: Names of the parameters that the update moves.
    """
    pairs = [(gathering, name) for gathering in gatherings for name in gathering.layers]
    mine = [(gathering, name) for gathering, name in pairs if name in moved]
    for gathering, name in mine:
        if gathering.score.dense:
            if name not in network.state.scores.get(gathering.key, {}):
                _take_in(network, gathering, name)
            _add_other_ranks(network, gathering, name)
    network.mask_gradients()
    for gathering, name in mine:
        if not gathering.score.dense:
            if gathering.score.since == "update":
                network.state.scores.get(gathering.key, {}).pop(name, None)
            _take_in(network, gathering, name)


def forget(network: Network, gatherings: Sequence[Gathering]) -> None:
    """Drop scores that nobody will look at any more."""
    state = network.state
    for key in list(state.scores):
        if all(duty.end <= state.clock for duty in gatherings if duty.key == key):
            del state.scores[key]


def _forget_what_accumulates(network: Network, gathering: Gathering, name: str) -> None:
    """Of earlier backward passes keep only what masks took out of the gradient."""
    mask, totals = network.state.masks.get(name), network.state.scores.get(gathering.key, {})
    if name not in totals or network.weights[name].grad is None:
        return
    if mask is None or not is_finite(totals[name]):
        del totals[name]
    else:
        local(totals[name]).mul_(1 - local(mask))


def _take_in(network: Network, gathering: Gathering, name: str) -> None:
    weight, gradient = network.weights[name].detach(), network.weights[name].grad
    if gradient is None:
        return
    totals = network.state.scores.setdefault(gathering.key, {})
    if name not in totals:
        dtype = torch.promote_types(weight.dtype, torch.float32)
        totals[name] = torch.zeros_like(weight, dtype=dtype)
    if is_finite(gradient):
        gathering.score.gather(*map(local, (totals[name], weight, gradient)))
    elif gathering.score.since == "update":  # which will be skipped
        totals[name].fill_(torch.nan)


def _add_other_ranks(network: Network, gathering: Gathering, name: str) -> None:
    """Take in what other processes gathered: right after backward a gradient is one rank's own."""
    totals = network.state.scores.get(gathering.key, {})
    if name in totals and ranks.count() > 1 and not is_sharded(totals[name]):
        distributed.all_reduce(totals[name])
