"""``gaps8``: before each stored value one byte, the number of weights skipped.

The relative index of Han et al. 2016 (Deep Compression, arXiv:1510.00149, section 3), with 8 bits
for every kind of layer.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np
import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats.base import (
    Format,
    Index,
    Options,
    Parts,
    Shape,
    exactly,
    kept,
    register,
)

_REACH = 256
"""One byte gets this many places ahead at most."""


@register
class Gaps8(Format):
    """A longer gap stores every 256th weight of it, with the value 0."""

    name = "gaps8"
    parts: ClassVar = {"gaps": torch.uint8}

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class."""
        steps = np.diff(kept(mask), prepend=-1)
        fillers = (steps - 1) // _REACH
        advance = np.full(len(steps) + int(fillers.sum()), _REACH)
        advance[np.cumsum(fillers + 1) - 1] = steps - fillers * _REACH
        gaps = torch.from_numpy((advance - 1).astype(np.uint8))
        return Index({"gaps": gaps}, {}, torch.from_numpy(np.cumsum(advance) - 1))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        gaps = parts["gaps"]
        exactly(stored, len(gaps), "the number of gaps is")
        places = torch.cumsum(gaps.to(torch.int64) + 1, 0) - 1
        end, numel = int(places[-1]) + 1 if stored else 0, prod(shape)
        expect(end <= numel, f"the gaps lead to weight {end} of {numel}")
        return places
