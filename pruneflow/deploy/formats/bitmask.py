"""``bitmask``: one bit a weight."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np
import torch

from pruneflow.deploy.formats import bits
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


@register
class Bitmask(Format):
    """The smallest index that can be read byte by byte, where more than 1/8 is kept."""

    name = "bitmask"
    parts: ClassVar = {"mask": torch.uint8}

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class."""
        packed = bits.to_bytes(mask.reshape(-1).numpy())
        return Index({"mask": packed}, {}, torch.from_numpy(kept(mask)))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        places = np.flatnonzero(bits.from_bytes(parts["mask"], prod(shape), "bits of the mask"))
        exactly(stored, len(places), "popcount of the mask is")
        return torch.from_numpy(places)
