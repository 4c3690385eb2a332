"""Penalties on weights, and their (sub)gradients: what presses weights to zero in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pruneflow.registry import Registry

if TYPE_CHECKING:
    import torch

Penalty = Callable[["torch.Tensor"], "torch.Tensor"]
"""The gradient of a penalty at a weight, of its shape; at zero the subgradient zero."""

PENALTIES: Registry[Penalty] = Registry("penalty")


@PENALTIES.register("l1")
def l1(weight: torch.Tensor) -> torch.Tensor:
    """Sum of absolute values: single weights go to zero (Tibshirani 1996)."""
    return weight.sign()


@PENALTIES.register("group_lasso")
def group_lasso(weight: torch.Tensor) -> torch.Tensor:
    """Norms of filters or rows, times the square root of their size: whole ones go to zero.

    Yuan & Lin 2006, eq. 2.1; over the filters of a convolution Wen et al. 2016, eq. 2.
    """
    import torch

    rows = weight.flatten(1).to(torch.promote_types(weight.dtype, torch.float32))
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    gradient: torch.Tensor = torch.where(norms > 0, rows / norms, 0.0) * rows.shape[1] ** 0.5
    return gradient.view(weight.shape).to(weight.dtype)


@PENALTIES.register("slimming")
def slimming(weight: torch.Tensor) -> torch.Tensor:
    """Sum of absolute values of batch norms' scales: channels go to zero (Liu et al. 2017)."""
    return l1(weight)
