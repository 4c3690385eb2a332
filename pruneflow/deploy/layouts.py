"""Which layout and which values every weight is written in."""

from __future__ import annotations

import torch

from pruneflow.deploy.bundles.packing import Packed, pack, smallest
from pruneflow.deploy.bundles.values import CODECS
from pruneflow.deploy.choices import AUTO
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.network import Network
from pruneflow.deploy.settings import Settings

QUICK = ("dense", "csr16")
"""Layouts that are quick to read: what ``latency`` chooses from; other goals from all."""

NARROWING = ("int8", "fp16", "fp32")


def values_to_try(settings: Settings) -> tuple[str, ...]:
    """Codecs in the order they are tried; the first that keeps the accuracy is taken."""
    if settings.values != AUTO:
        return (settings.values,)
    return NARROWING if settings.goal == "size" else (settings.precision,)


def packed(network: Network, goal: str, values: str) -> dict[str, Packed | torch.Tensor]:
    """Every tensor of a network as it is written: weights packed, the rest as it is.

    Raises:
        DeployError: A weight cannot be written so.
    """
    weights = set(network.weights)
    return {
        name: pack(name, tensor, None, layout(tensor, goal, values), values)
        if name in weights
        else tensor
        for name, tensor in network.tensors.items()
    }


def layout(weight: torch.Tensor, goal: str, values: str) -> str:
    """The layout with the fewest bytes among those that suit the goal."""
    return smallest(weight.detach(), CODECS[values].bits, QUICK if goal == "latency" else FORMATS)
