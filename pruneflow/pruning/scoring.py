"""Passes over the scores of a network's layers, chunk by chunk, in one common type."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce

import torch

from pruneflow.pruning.criteria import Criterion
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.threshold import Scores


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
        weights: The layers' weights.
        masks: Masks of those that have one.
        criterion: Scores a flat chunk of weights.
        generator: A fresh generator for a layer, the same one at every call.
    """
    samples = [criterion(w.detach().reshape(-1)[:1], generator(n)) for n, w in weights.items()]
    dtype = reduce(torch.promote_types, (sample.dtype for sample in samples))

    def scores(name: str) -> Iterator[torch.Tensor]:
        noise = generator(name)
        mask = masks.get(name)
        kept = iter(()) if mask is None else chunks(mask)
        for chunk in chunks(weights[name]):
            scored = criterion(chunk, noise).to(dtype)
            keep = next(kept, None)
            yield (
                scored
                if keep is None
                else scored.masked_fill(keep.to(scored.device) == 0, -torch.inf)
            )

    return {name: partial(scores, name) for name in weights}
