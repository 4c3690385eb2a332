"""Exchanging weights: the smallest go, as many pruned ones grow back, sparsity stays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from pruneflow.network import Network
from pruneflow.pruning.growth import GROWTHS
from pruneflow.pruning.masks import chunks, is_finite
from pruneflow.pruning.shards import local
from pruneflow.pruning.threshold import lowest
from pruneflow.timeline import exact, nearest


@torch.no_grad()
def exchange(network: Network, names: Sequence[str], share: float, growth: str, key: str) -> None:
    """Drop the smallest of the weights left in each layer, and let as many grow back.

    What was dropped this moment may grow back at once, and then keeps its value, as in RigL
    (Evci et al. 2020, algorithm 1). What grows back begins at zero, and with no momentum. A layer
    whose gradient was not finite, so that the update was skipped, stays as it is.

    Args:
        network: Whose masks change.
        names: Of the layers; each keeps its number of zeros.
        share: Of the weights left, how many are dropped.
        growth: Which grow: the highest-scoring ones by this, of those that are not left.
        key: Where scores were gathered for ``growth``.

    Raises:
        NonFiniteError: A weight is NaN or infinite.
        TrainingError: A weight has had no gradient to be scored by.
    """
    network.require_finite(names)
    how = GROWTHS[growth]
    scored = network.scored(names, how, key)
    kept = {}
    for name in names:
        if not is_finite(scored[name]):
            continue
        mask = network.state.masks[name].reshape(-1).ne(0)
        left = int(mask.sum())
        count = nearest(exact(share) * left)
        size = network.weights[name].detach().reshape(-1).abs().masked_fill(~mask, torch.inf)
        stays = mask & ~lowest([partial(chunks, size)], count)[0]
        noise = network.generator(f"{name}/grow")
        score = torch.cat([how(chunk, noise).to(mask.device) for chunk in chunks(scored[name])])
        rank = (-score).masked_fill(stays, torch.inf)
        kept[name] = stays | lowest([partial(chunks, rank)], count)[0]
    network.install(kept)
    network.state.scores.pop(key, None)


def grow_all(network: Network, names: Sequence[str]) -> None:
    """Let every pruned weight grow back, from zero and with no momentum."""
    parts = {name: local(network.weights[name]) for name in names}
    network.install({n: torch.ones_like(part, dtype=torch.bool) for n, part in parts.items()})


def shuffle_masks(network: Network, names: Sequence[str]) -> None:
    """Move every layer's zeros to random places."""
    shuffled = {}
    for name in names:
        mask = network.state.masks[name]
        order = torch.randperm(mask.numel(), generator=network.generator(name))
        shuffled[name] = mask.reshape(-1)[order.to(mask.device)].ne(0)
    network.install(shuffled)
