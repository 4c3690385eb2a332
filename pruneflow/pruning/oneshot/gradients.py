"""Gradients that are read and not kept: no parameter's ``grad`` changes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pruneflow.errors import TrainingError


def gradients(scalar: torch.Tensor, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The gradient of a scalar by each weight.

    Raises:
        TrainingError: It is no scalar, or does not depend on one of them.
    """
    if scalar.numel() != 1:
        raise TrainingError(
            f"the loss on calibration batches has shape {list(scalar.shape)}: it needs to be one "
            "number, such as the mean"
        )
    found: tuple[torch.Tensor | None, ...] = (None,) * len(weights)
    if scalar.requires_grad:
        found = torch.autograd.grad(scalar, list(weights.values()), allow_unused=True)
    by_name = dict(zip(weights, found, strict=True))
    if idle := [name for name, gradient in by_name.items() if gradient is None]:
        quoted = ", ".join(f"'{name}'" for name in idle)
        raise TrainingError(
            f"what the network gives does not depend on {quoted}, so that no gradient scores it: "
            "ignore the layer, or choose another criterion"
        )
    return {name: gradient for name, gradient in by_name.items() if gradient is not None}
