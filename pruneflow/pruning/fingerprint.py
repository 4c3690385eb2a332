"""Hashes of masks that add up: that of a whole mask is the sum of those of its parts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

_WORD = 32
_KEYS = 2
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def fingerprint(parts: Iterable[torch.Tensor], offset: int = 0) -> list[int]:
    """A sum over the words of 32 bits of a mask, each times a key of its place, modulo 2**64.

    Multilinear hashing (Lemire & Kaser 2014, arXiv:1202.4961, section 2): two masks that differ
    have the same sum by a chance of 2**-32 for each key.

    Args:
        parts: Of the flat mask, one after the other; what is not zero is a one.
        offset: Where in the mask the first begins; a word may go on in another process's part.

    Returns:
        A number for each key, as a signed integer of 64 bits.
    """
    sums = np.zeros(_KEYS, np.uint64)
    at = offset
    for part in parts:
        bits = part.ne(0).cpu().numpy()
        lead, end = at % _WORD, at + bits.size
        padded = np.concatenate([np.zeros(lead, bool), bits, np.zeros(-end % _WORD, bool)])
        words = np.packbits(padded, bitorder="little").view("<u4").astype(np.uint64)
        places = np.arange(at // _WORD, at // _WORD + words.size, dtype=np.uint64)
        own = [_mixed(places * np.uint64(_KEYS) + np.uint64(key)) for key in range(_KEYS)]
        sums += (words * own).sum(1)
        at = end
    return [int(each) for each in sums.view(np.int64)]


def _mixed(places: np.ndarray) -> np.ndarray:
    """Keys that look random: SplitMix64 (Steele et al. 2014, figure 16)."""
    keys: np.ndarray = (places + np.uint64(1)) * _GOLDEN
    keys = (keys ^ (keys >> np.uint64(30))) * _FACTORS[0]
    keys = (keys ^ (keys >> np.uint64(27))) * _FACTORS[1]
    keys ^= keys >> np.uint64(31)
    return keys
