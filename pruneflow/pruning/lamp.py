"""LAMP: scores that compare across layers, because each is put in proportion to its layer."""

from __future__ import annotations

import torch


def lamp(scores: torch.Tensor) -> torch.Tensor:
    """The root of the LAMP score (Lee et al. 2021, arXiv:2010.07611) of a layer.

    LAMP is the square of a score over the sum of the squares of those that would be left when it
    goes next: its own and all from it upwards. The root orders alike, and squares cannot make it
    vanish. What is below zero, as -inf where a weight is pruned already, stays as it is, below
    all others, and does not count; nor does +inf.

    Args:
        scores: All of a layer, flat; of equal ones the first is the lower.

    Returns:
        Of the same shape and order, in float32 or wider; never lower where ``scores`` is higher.
    """
    ordered, order = scores.sort(stable=True)
    values = ordered.cpu().double()  # sums on a GPU may come in any order
    ends = torch.tensor([0.0, torch.inf], dtype=values.dtype)
    low, high = torch.searchsorted(values, ends).tolist()
    counted = values[low:high]
    if counted.numel() and counted[-1] > 0:
        counted /= counted[-1].clone()
        counted /= counted.square().flip(0).cumsum(0).sqrt_().flip(0)
    wide = torch.promote_types(scores.dtype, torch.float32)
    return torch.empty_like(scores, dtype=wide).scatter_(
        0, order, values.to(device=scores.device, dtype=wide)
    )
