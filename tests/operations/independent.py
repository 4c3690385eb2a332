"""Gradients and exchanges computed in another way than PruneFlow does."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import torch

from tests.loop import Loop


def gradients(loop: Loop) -> dict[str, torch.Tensor]:
    """The dense gradients of the next update."""
    model = copy.deepcopy(loop.model)
    model.zero_grad()
    stand_in = SimpleNamespace(
        model=model,
        accumulate=loop.accumulate,
        engine=loop.engine,
        batch_seed=loop.batch_seed,
    )
    Loop._backward(stand_in, loop.clock + 1)  # type: ignore[arg-type]
    return {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


def exchanged(
    weight: torch.Tensor, kept: torch.Tensor, score: torch.Tensor, count: int
) -> torch.Tensor:
    """The mask after ``count`` weights were exchanged: sorted lists, ties by index."""
    size, growth = weight.abs().flatten().tolist(), score.flatten().tolist()
    left = [at for at, keep in enumerate(kept.flatten().tolist()) if keep]
    stays = set(sorted(left, key=lambda at: (size[at], at))[count:])
    others = [at for at in range(weight.numel()) if at not in stays]
    grown = sorted(others, key=lambda at: (-growth[at], at))[:count]
    after = torch.zeros(weight.numel(), dtype=torch.bool)
    after[[*stays, *grown]] = True
    return after.view(weight.shape)
