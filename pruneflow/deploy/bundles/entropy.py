"""The size that no layout can beat by much, if masks have no pattern."""

from __future__ import annotations

from math import log2


def bound_bits(numel: int, kept: int, value_bits: int) -> float:
    """Entropy of a mask of independent bits, and the values themselves.

    That is ``numel * H(kept / numel) + kept * value_bits`` with the binary entropy H (Shannon
    1948); a mask drawn at random among all with ``kept`` ones needs this up to ``log2(numel)``.

    Args:
        numel: How many weights there are.
        kept: How many of them are stored.
        value_bits: The width of one value.

    Returns:
        Bits.
    """
    pruned = numel - kept
    index = sum(part * log2(numel / part) for part in (kept, pruned) if part)
    return index + kept * value_bits
