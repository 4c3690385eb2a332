"""What an optimizer remembers of weights: momenta, averages, and the settings of its groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.optim import Optimizer


@torch.no_grad()
def mask_memory(optimizer: Optimizer, masks: Mapping[torch.Tensor, torch.Tensor]) -> bool:
    """Clear an optimizer's memory of pruned weights.

    Args:
        optimizer: Any optimizer; only memory in the shape of its weight can be cleared.
        masks: The mask of each weight.

    Returns:
        Whether all of its memory is by element, so that a pruned weight with no gradient
        cannot move any more.
    """
    by_element = True
    for weight, mask in masks.items():
        for value in optimizer.state.get(weight, {}).values():
            if isinstance(value, int | float) or value is None:
                continue
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                value.mul_(mask)
            elif not isinstance(value, torch.Tensor) or value.numel() > 1:
                by_element = False
    return by_element


def settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter group without its parameters: rate, momentum, decay and the like."""
    return {key: value for key, value in group.items() if key != "params"}
