"""Passes over the scores of a network's layers, chunk by chunk, in one common type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce

import torch

from pruneflow.pruning.criteria import Criterion
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.shards import offset
from pruneflow.pruning.threshold import CHUNK, Scores


def streams(
    weights: Mapping[str, torch.Tensor],
    masks: Mapping[str, torch.Tensor],
    criterion: Criterion,
    generator: Callable[[str], torch.Generator],
) -> dict[str, Scores]:
    """For each layer something that starts a pass over its scores.

    What is pruned already scores lowest. Layers of unlike types are scored in one that holds the
    scores of all exactly, so that they compare.

    Args:
        weights: The layers' weights; of those that are shared out, what this process holds is
            scored.
        masks: Masks of those that have one.
        criterion: Scores a flat chunk of weights.
        generator: A fresh generator for a layer, the same one at every call.
    """
    samples = [criterion(next(chunks(w))[:1], generator(n)) for n, w in weights.items()]
    dtype = reduce(torch.promote_types, (sample.dtype for sample in samples))

    def scores(name: str) -> Iterator[torch.Tensor]:
        noise = generator(name)
        _skip(criterion, weights[name], noise)
        mask = masks.get(name)
        kept = iter(()) if mask is None else chunks(mask)
        for chunk in chunks(weights[name]):
            scored = criterion(chunk, noise).to(dtype)
            keep = next(kept, None)
            yield scored if keep is None else scored.minimum(_bound(keep, scored))

    return {name: partial(scores, name) for name in weights}


def _bound(keep: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Infinity where a weight is kept, minus infinity elsewhere."""
    return keep.to(scores).sub(0.5).mul_(torch.inf)  # quicker than to fill by booleans


def _skip(criterion: Criterion, weight: torch.Tensor, noise: torch.Generator) -> None:
    """Draw the noise of the rows that processes before this one hold."""
    ahead = offset(weight)
    before = noise.get_state()
    first = next(chunks(weight))
    criterion(first.new_zeros(min(ahead, 1)), noise)
    if torch.equal(noise.get_state(), before):
        return  # it draws none
    for start in range(1, ahead, CHUNK):
        criterion(first.new_zeros(min(CHUNK, ahead - start)), noise)
