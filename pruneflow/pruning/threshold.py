"""The k lowest scores of many tensors, exactly, without concatenating them.

The bits of floating-point numbers, read as integers, order like the numbers, but for the sign. So
a histogram of their leading 16 bits finds the bucket that holds the k-th lowest score, a histogram
of the next 16 bits inside that bucket refines it, and two passes over float32 scores give the
threshold itself. Extra memory is a few chunks, whatever the network; and where processes share
out the tensors' rows, histograms are all that they have to tell each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.lamp import lamp
from pruneflow.pruning.shards import ALONE, Ranks

CHUNK = 1 << 18
"""Scores looked at together: few enough for them to stay in a processor's cache."""

Scores = Callable[[], Iterator[torch.Tensor]]
"""Starts one pass over a tensor's scores: flat chunks, in index order, equal at every pass; one
at least, which may be empty."""

_DIGIT_BITS = 16
_BUCKETS = 1 << _DIGIT_BITS
_INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def select(
    scores: Mapping[str, Scores],
    quota: Quota,
    spared: Mapping[str, torch.Tensor] | None = None,
    ranks: Ranks | None = None,
) -> dict[str, torch.Tensor]:
    """Which weights a quota prunes.

    Args:
        scores: A pass over the scores of each layer, or of the rows that this process holds.
        quota: How many are to go: by layer, or together under each layer's cap.
        spared: Flat booleans for each layer, True where a weight goes after all others.
        ranks: Who holds the layers' other rows, if this process holds some of them.

    Returns:
        For each layer a flat boolean tensor, True where pruned; together exactly
        ``quota.zeros``. Among equal scores the lower index goes first, then the earlier layer.
    """
    ranks = ranks or ALONE
    if quota.lamp and quota.layers is None:
        # LAMP says how many go of each layer, its own scores say which: rounding changes no order.
        compared = {name: _whole(lamp(torch.cat(list(start())))) for name, start in scores.items()}
        marks = select(compared, replace(quota, lamp=False), spared)
        layers = {name: int(mark.count_nonzero()) for name, mark in marks.items()}
        quota = replace(quota, layers=layers)
    if spared is not None:
        scores = {name: partial(_above, start, spared[name]) for name, start in scores.items()}
    if quota.layers is not None:
        return {name: lowest([scores[name]], k, ranks)[0] for name, k in quota.layers.items()}
    pruned: dict[str, torch.Tensor] = {}
    free = dict(scores)
    remaining = quota.zeros
    while True:
        # A capped layer's overflow moves to the others, which raises their threshold: layers
        # only ever join the full ones, so this ends after at most one round a layer.
        chosen = dict(zip(free, lowest(list(free.values()), remaining, ranks), strict=True))
        counts = ranks.sum(torch.tensor([int(mark.count_nonzero()) for mark in chosen.values()]))
        each = zip(chosen, counts.tolist(), strict=True)
        full = [name for name, count in each if count > quota.caps[name]]
        if not full:
            return {name: chosen.get(name, pruned.get(name)) for name in scores}  # type: ignore[misc]
        chosen.clear()  # before there are as many again
        for name in full:
            pruned[name] = lowest([free.pop(name)], quota.caps[name], ranks)[0]
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


def lowest(scores: Sequence[Scores], k: int, ranks: Ranks | None = None) -> list[torch.Tensor]:
    """Mark the ``k`` lowest scores of several tensors, ties by tensor and index.

    Scores may be infinite; they must not be NaN.

    Args:
        scores: A pass over each tensor, or over the rows of it that this process holds.
        k: How many, on all processes together.
        ranks: Who holds the other rows, if this process holds some.

    Raises:
        ValueError: There are fewer than ``k`` scores.
    """
    ranks = ranks or ALONE
    dtype = next(scores[0]()).dtype
    leading, sizes = _histogram(scores, dtype.itemsize * 8 - _DIGIT_BITS, None)
    leading = ranks.sum(leading)
    total = int(leading.sum())
    if not 0 <= k <= total:
        raise ValueError(f"cannot choose {k} of {total} scores")
    if k in (0, total):
        return [
            torch.full((size,), k > 0, device=next(start()).device)
            for size, start in zip(sizes, scores, strict=True)
        ]
    cut = _cut(scores, k, leading, dtype, ranks)
    taken = [None] * len(scores) if cut.takes_all else _shares(scores, cut, ranks)
    return [_marked(*each, cut.score) for each in zip(sizes, scores, taken, strict=True)]


@dataclass(frozen=True)
class _Cut:
    """Where the k lowest scores end.

    Attributes:
        score: The highest of them, (1,).
        ties: How many of this score belong to them.
        takes_all: Whether that is all there are.
    """

    score: torch.Tensor
    ties: int
    takes_all: bool


def _cut(
    scores: Sequence[Scores], k: int, leading: torch.Tensor, dtype: torch.dtype, ranks: Ranks
) -> _Cut:
    """Where the k lowest scores end, given the histogram of their leading digits."""
    histogram, order = leading, _order(None)
    prefix, rank = -(_BUCKETS >> 1), k
    for shift in range(dtype.itemsize * 8 - _DIGIT_BITS, -1, -_DIGIT_BITS):
        cumulative = histogram[order].cumsum(0)
        place = int(torch.searchsorted(cumulative, rank))
        below = int(cumulative[place - 1]) if place else 0
        rank, inside = rank - below, int(cumulative[place]) - below
        prefix += int(order[place])
        if shift:
            histogram = ranks.sum(_histogram(scores, shift - _DIGIT_BITS, prefix)[0])
            order = _order(prefix)
            prefix <<= _DIGIT_BITS
    score = torch.tensor([prefix], dtype=_INTEGER[dtype.itemsize]).view(dtype)
    return _Cut(score, rank, rank == inside)


def _histogram(
    scores: Sequence[Scores], shift: int, prefix: int | None
) -> tuple[torch.Tensor, list[int]]:
    """How often each digit of 16 bits occurs from bit ``shift`` on, and how many scores there are.

    Args:
        scores: A pass over each tensor.
        shift: The lowest bit of the digit.
        prefix: The bits above it that scores have to have; None: it is the leading digit.
    """
    histogram = torch.zeros(_BUCKETS, dtype=torch.int64)
    sizes = []
    for start in scores:
        sizes.append(0)
        for chunk in start():
            sizes[-1] += chunk.numel()
            histogram += _digits(_bits(chunk), shift, prefix).cpu()
    return histogram, sizes


def _order(prefix: int | None) -> torch.Tensor:
    """A digit's buckets from the lowest score to the highest: of negative numbers the last first.

    Args:
        prefix: The bits before it; None: it is the leading digit, counted from the lowest integer.
    """
    buckets = torch.arange(_BUCKETS)
    if prefix is None:
        return torch.cat([buckets[: _BUCKETS >> 1].flip(0), buckets[_BUCKETS >> 1 :]])
    return buckets.flip(0) if prefix < 0 else buckets


def _digits(keys: torch.Tensor, shift: int, prefix: int | None) -> torch.Tensor:
    """Histogram of one 16-bit digit over the keys with these bits above it."""
    if prefix is None:
        digit = (keys >> shift).to(torch.int32).add_(_BUCKETS >> 1)
        return torch.bincount(digit, minlength=_BUCKETS)
    beyond = (keys >> shift).sub_(prefix << _DIGIT_BITS)  # two more buckets are for all others
    digit = beyond.clamp_(-1, _BUCKETS).add_(1).to(torch.int32)
    return torch.bincount(digit, minlength=_BUCKETS + 2)[1:-1]


def _bits(scores: torch.Tensor) -> torch.Tensor:
    """The bits of ``scores`` as integers; both zeros are one."""
    return (scores + 0.0).view(_INTEGER[scores.element_size()])


def _shares(scores: Sequence[Scores], cut: _Cut, ranks: Ranks) -> list[list[int]]:
    """Of the scores at the cut, how many go of each chunk that this process holds."""
    equal = [
        [int((chunk == cut.score.to(chunk.device)).count_nonzero()) for chunk in start()]
        for start in scores
    ]
    table = torch.zeros(len(scores), ranks.size, dtype=torch.int64)
    table[:, ranks.rank] = torch.tensor([sum(counts) for counts in equal])
    table = ranks.sum(table).reshape(-1)
    before = (table.cumsum(0) - table).view(len(scores), ranks.size)[:, ranks.rank]
    taken: list[list[int]] = []
    for counts, left in zip(equal, (cut.ties - before).clamp(min=0).tolist(), strict=True):
        taken.append([])
        for count in counts:
            taken[-1].append(min(count, left))
            left -= taken[-1][-1]
    return taken


def _marked(size: int, start: Scores, taken: list[int] | None, score: torch.Tensor) -> torch.Tensor:
    """Flat booleans, True for what is below a score, and for so many of each chunk equal to it."""
    mark: torch.Tensor | None = None
    at = 0
    for number, chunk in enumerate(start()):
        score = score.to(chunk.device)
        if mark is None:
            mark = torch.empty(size, dtype=torch.bool, device=chunk.device)
        part = mark[at : at + chunk.numel()]
        at += chunk.numel()
        if taken is None:
            torch.le(chunk, score, out=part)
            continue
        torch.lt(chunk, score, out=part)
        if taken[number]:
            part[(chunk == score).nonzero().squeeze(1)[: taken[number]]] = True
    assert mark is not None
    return mark
