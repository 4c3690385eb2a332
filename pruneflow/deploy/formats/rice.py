"""``rice``: the number of weights skipped before each kept one, as a Golomb-Rice code.

A gap g is written as the quotient g >> k in unary, that many zeros and a one, and the lowest k
bits; quotients and remainders stand in two streams (Golomb 1966; Rice & Plaunt 1971).
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np
import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats import bits
from pruneflow.deploy.formats.base import (
    Format,
    Index,
    Integers,
    Options,
    Parts,
    Shape,
    exactly,
    kept,
    register,
    whole,
)

_MOST = 31


@register
class Rice(Format):
    """Within 0.6 bits a kept weight of the entropy of any mask below density 1/8."""

    name = "rice"
    parts: ClassVar = {"quotients": torch.uint8, "remainders": torch.uint8}
    options = ("k",)

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class; ``k`` is the one that takes the fewest bits."""
        places = kept(mask)
        gaps = np.diff(places, prepend=-1) - 1
        k = min(range(_MOST + 1), key=lambda k: _length(gaps, k))
        quotients = gaps >> k
        unary = np.zeros(int(quotients.sum()) + len(gaps), dtype=np.bool_)
        unary[np.cumsum(quotients + 1) - 1] = True
        parts = {
            "quotients": bits.to_bytes(unary),
            "remainders": bits.write_numbers(gaps & ((1 << k) - 1), k),
        }
        return Index(parts, {"k": k}, torch.from_numpy(places))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        k, numel = whole(options, "k", 0, _MOST), prod(shape)
        stream = parts["quotients"]
        ends = np.flatnonzero(np.unpackbits(stream.numpy()))
        exactly(stored, len(ends), "the number of quotients is")
        used = int(ends[-1]) + 1 if stored else 0
        expect(len(stream) == -(-used // 8), "the quotients go on after the last one")
        quotients = np.diff(ends, prepend=-1) - 1
        expect(not (quotients > numel >> k).any(), f"a gap is longer than {numel} weights")
        remainders = bits.read_numbers(parts["remainders"], stored, k, "remainders")
        places = np.cumsum((quotients << k | remainders) + 1) - 1
        end = int(places[-1]) + 1 if stored else 0
        expect(end <= numel, f"the gaps lead to weight {end} of {numel}")
        return torch.from_numpy(places)


def _length(gaps: Integers, k: int) -> int:
    """Bits that the gaps take."""
    return int((gaps >> k).sum()) + len(gaps) * (k + 1)
