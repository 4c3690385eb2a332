"""Granularities whose units stay or go whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from pruneflow.pruning.allocation import Allocation, Guard, Quota, Sparsity
from pruneflow.pruning.granularities.base import Granularity, Shape, flat, gathered
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    import torch

    from pruneflow.pruning.shards import Ranks
    from pruneflow.pruning.threshold import Scores


class WholeUnits(Granularity):
    """Units of one size in each layer, those with the lowest sum of scores first.

    Of equal units the first goes first, row by row of units.
    """

    @abstractmethod
    def unit(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns that a unit has of the matrix of a weight of this shape."""

    def quota(
        self,
        allocation: Allocation,
        layers: Sequence[Layer],
        sparsity: Sparsity,
        guard: Guard,
    ) -> Quota:
        """See base class; an allocation sees layers whose single weights are units."""
        coarse = [replace(layer, grid=self._grid(layer)) for layer in layers]
        try:
            quota = allocation(coarse, sparsity, guard)
        except ValueError as error:
            text = f"counting each of the {self} as one weight, {error}"
            raise ValueError(text) from None
        weights = {layer.name: layer.unit for layer in coarse}
        if quota.layers is None and len({*weights.values()}) > 1:
            unlike: dict[int, str] = {}
            for name, size in weights.items():
                unlike.setdefault(size, name)
            sizes = ", ".join(f"{size:,} weights in '{name}'" for size, name in unlike.items())
            raise ValueError(
                f"the {self} of these layers are of unlike sizes ({sizes}), so that their number "
                "does not say how many weights go; an allocation by one threshold needs like "
                "ones: choose allocation 'uniform', 'erk' or 'per_layer'"
            )
        return quota.each(lambda name, units: units * weights[name])

    def choose(
        self,
        scores: Mapping[str, Scores],
        shapes: Mapping[str, Shape],
        quota: Quota,
        ranks: Ranks | None = None,
    ) -> dict[str, torch.Tensor]:
        """See base class."""
        from pruneflow.pruning.masks import chunks
        from pruneflow.pruning.threshold import select

        sums = {name: self._sums(start, shapes[name]) for name, start in scores.items()}
        chosen = select(
            {name: partial(chunks, part) for name, part in sums.items()},
            quota.each(lambda name, zeros: zeros // prod(self.unit(shapes[name]))),
            ranks=ranks,
        )
        return {
            name: self._spread(chosen.pop(name).view(sums[name].shape), shapes[name])
            for name in scores
        }

    def _grid(self, layer: Layer) -> tuple[int, int]:
        """Rows and columns of units; where one takes whole rows, they lie in a row themselves."""
        tall, wide = self.unit(layer.shape)
        down = layer.rows // tall
        across = layer.size // layer.rows // wide
        return (down, across) if across > 1 else (1, down)  # no more than one has to be left

    def _sums(self, start: Scores, shape: Shape) -> torch.Tensor:
        """The score of every unit: rows and columns of units."""
        matrix = gathered(start, shape)
        exact = matrix.float() if matrix.element_size() < 4 else matrix
        tall, wide = self.unit(shape)
        return exact.view(matrix.shape[0] // tall, tall, -1, wide).sum((1, 3))

    def _spread(self, units: torch.Tensor, shape: Shape) -> torch.Tensor:
        """What holds for a unit said of each of its weights, in the order of indices."""
        tall, wide = self.unit(shape)
        return flat(units.repeat_interleave(tall, 0).repeat_interleave(wide, 1), shape)
