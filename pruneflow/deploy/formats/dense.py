"""``dense``: every weight, and no index."""

from __future__ import annotations

from math import prod

import torch

from pruneflow.deploy.formats.base import Format, Index, Options, Parts, Shape, exactly, register


@register
class Dense(Format):
    """Right for weights of which few are pruned."""

    name = "dense"

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class."""
        return Index({}, {}, torch.arange(mask.numel()))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        exactly(stored, prod(shape), "the number of weights is")
        return torch.arange(stored)
