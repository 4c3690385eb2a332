"""Scores: the weights with the lowest ones are pruned first.

A criterion is a function of one flat chunk of weights, so that no second copy of the network is
ever made, and of a generator seeded from (seed, step, layer), so that every rank and every pass
over the weights sees the same scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pruneflow.registry import Registry

if TYPE_CHECKING:
    import torch

Criterion = Callable[["torch.Tensor", "torch.Generator"], "torch.Tensor"]

CRITERIA: Registry[Criterion] = Registry("criterion", "pruneflow.criteria")


@CRITERIA.register("magnitude")
def magnitude(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Absolute value (Han et al. 2015)."""
    return weights.abs()


@CRITERIA.register("random")
def random(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Uniform noise: the control that any other criterion has to beat."""
    noise = weights.new_empty(weights.numel(), device=generator.device).float()
    return noise.uniform_(generator=generator)
