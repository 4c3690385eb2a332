"""Stands in for a training in which a criterion gathers its scores."""

from __future__ import annotations

import torch

from pruneflow.network import Network
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.gathering import GatheredScore


def gather(made: Network, criterion: str) -> None:
    """Two updates by the same gradients whenever it is called, with many ties."""
    how = CRITERIA[criterion]
    if not isinstance(how, GatheredScore):
        return
    totals = made.state.scores.setdefault("", {})
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        for name, weight in made.weights.items():
            total = totals.setdefault(name, weight.detach().new_zeros(weight.shape).float())
            gradient = torch.randint(-2, 3, weight.shape, generator=generator)
            how.gather(total, weight.detach(), gradient.to(weight.dtype))
