"""The k lowest scores of many tensors, exactly, without concatenating them.

The bits of floating-point numbers, read as integers after flipping those of negatives, order
like the numbers. So a histogram of their leading 16 bits finds the bucket that holds the k-th
lowest score, a histogram of the next 16 bits inside that bucket refines it, and two passes over
float32 scores give the threshold itself. Extra memory is a few chunks, whatever the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.lamp import lamp

CHUNK = 1 << 20

Scores = Callable[[], Iterator[torch.Tensor]]
"""Starts one pass over a tensor's scores: flat chunks, in index order, equal at every pass."""

_DIGIT_BITS = 16
_BUCKETS = 1 << _DIGIT_BITS
_INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def select(
    scores: Mapping[str, Scores], quota: Quota, spared: Mapping[str, torch.Tensor] | None = None
) -> dict[str, torch.Tensor]:
    """Which weights a quota prunes.

    Args:
        scores: A pass over the scores of each layer.
        quota: How many are to go: by layer, or together under each layer's cap.
        spared: Flat booleans for each layer, True where a weight goes after all others.

    Returns:
        For each layer a flat boolean tensor, True where pruned; together exactly
        ``quota.zeros``. Among equal scores the lower index goes first, then the earlier layer.
    """
    if quota.lamp and quota.layers is None:
        # LAMP says how many go of each layer, its own scores say which: rounding changes no order.
        compared = {name: _whole(lamp(torch.cat(list(start())))) for name, start in scores.items()}
        marks = select(compared, replace(quota, lamp=False), spared)
        quota = replace(quota, layers={name: int(mark.sum()) for name, mark in marks.items()})
    if spared is not None:
        scores = {name: partial(_above, start, spared[name]) for name, start in scores.items()}
    if quota.layers is not None:
        return {name: lowest([scores[name]], k)[0] for name, k in quota.layers.items()}
    pruned: dict[str, torch.Tensor] = {}
    free = dict(scores)
    remaining = quota.zeros
    while True:
        # A capped layer's overflow moves to the others, which raises their threshold: layers
        # only ever join the full ones, so this ends after at most one round a layer.
        chosen = dict(zip(free, lowest(list(free.values()), remaining), strict=True))
        full = [name for name, mask in chosen.items() if int(mask.sum()) > quota.caps[name]]
        if not full:
            return {name: chosen.get(name, pruned.get(name)) for name in scores}  # type: ignore[misc]
        for name in full:
            pruned[name] = lowest([free.pop(name)], quota.caps[name])[0]
            remaining -= quota.caps[name]


def _whole(scores: torch.Tensor) -> Scores:
    return lambda: iter(torch.split(scores, CHUNK))


def _above(start: Scores, spared: torch.Tensor) -> Iterator[torch.Tensor]:
    """The same scores, but those of spared weights above all others."""
    at = 0
    for chunk in start():
        spare = spared[at : at + chunk.numel()]
        yield chunk.clamp(max=torch.finfo(chunk.dtype).max).masked_fill(spare, torch.inf)
        at += chunk.numel()


def lowest(scores: Sequence[Scores], k: int) -> list[torch.Tensor]:
    """Mark the ``k`` lowest scores of several tensors, ties by tensor and index.

    Scores may be infinite; they must not be NaN.

    Raises:
        ValueError: There are fewer than ``k`` scores.
    """
    sizes = [sum(chunk.numel() for chunk in start()) for start in scores]
    if not 0 <= k <= sum(sizes):
        raise ValueError(f"cannot choose {k} of {sum(sizes)} scores")
    if k == 0 or k == sum(sizes):
        return [
            torch.full((size,), k > 0, device=next(start()).device)
            for size, start in zip(sizes, scores, strict=True)
        ]
    threshold, ties = _kth(scores, k)
    marks = []
    for size, start in zip(sizes, scores, strict=True):
        mark: torch.Tensor | None = None
        at = 0
        for chunk in start():
            keys = _ordered_bits(chunk)
            if mark is None:
                mark = torch.empty(size, dtype=torch.bool, device=chunk.device)
            part = mark[at : at + chunk.numel()]
            torch.lt(keys, threshold, out=part)
            at += chunk.numel()
            if ties:
                equal = (keys == threshold).nonzero().squeeze(1)[:ties]
                part[equal] = True
                ties -= equal.numel()
        marks.append(torch.empty(0, dtype=torch.bool) if mark is None else mark)
    return marks


def _kth(scores: Sequence[Scores], k: int) -> tuple[int, int]:
    """The key of the k-th lowest score, and how many scores of that key belong to the k."""
    prefix, rank, shift = 0, k, -1
    bits = 0
    while shift != 0:
        histogram = torch.zeros(_BUCKETS, dtype=torch.int64)
        for start in scores:
            for chunk in start():
                keys = _ordered_bits(chunk)
                if bits == 0:
                    bits = chunk.element_size() * 8
                    shift = bits
                histogram += _digits(keys, shift - _DIGIT_BITS, bits, prefix).cpu()
        shift -= _DIGIT_BITS
        cumulative = histogram.cumsum(0)
        digit = int(torch.searchsorted(cumulative, rank))
        rank -= int(cumulative[digit - 1]) if digit else 0
        prefix = (prefix << _DIGIT_BITS) | digit
    return prefix - (1 << (bits - 1)), rank


def _digits(keys: torch.Tensor, shift: int, bits: int, prefix: int) -> torch.Tensor:
    """Histogram of one 16-bit digit over the keys whose leading digits are ``prefix``."""
    offset = _BUCKETS >> 1  # the sign bit belongs to the leading digit
    if shift + _DIGIT_BITS < bits:
        leading = (keys >> (shift + _DIGIT_BITS)) + (1 << (bits - shift - _DIGIT_BITS - 1))
        keys = keys[leading == prefix]
        offset = 0
    digit = (keys >> shift).to(torch.int32)
    digit = digit + offset if offset else digit & (_BUCKETS - 1)
    return torch.bincount(digit, minlength=_BUCKETS)


def _ordered_bits(scores: torch.Tensor) -> torch.Tensor:
    """Integers that order like the floating-point ``scores``; both zeros are one."""
    dtype = _INTEGER[scores.element_size()]
    bits = (scores + 0.0).view(dtype)
    return bits ^ ((bits >> (scores.element_size() * 8 - 1)) & torch.iinfo(dtype).max)
