"""``block``: whole blocks of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pruneflow.errors import did_you_mean
from pruneflow.pruning.allocation import Allocation, Guard, Quota, Sparsity
from pruneflow.pruning.granularities.base import (
    GRANULARITIES,
    Granularity,
    Shape,
    columns,
    flat,
    gathered,
)
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    import torch

    from pruneflow.pruning.threshold import Scores

WORD = "block"
_REFERENCE = r"\$\{[^{}]+\}"  # may stand for a number, or for both
_SIDES = "two whole numbers from 1, rows and columns: {block: [32, 32]}"


@GRANULARITIES.register(WORD)
@dataclass(frozen=True)
class Block(Granularity):
    """Blocks of rows and columns stay or go whole, those with the lowest sum of scores first.

    Sparsity is rounded to whole blocks. For ``magnitude`` the sum is the block's l1 norm (Mao et
    al. 2017, arXiv:1705.08922; Gray et al. 2017 multiply by such blocks). Of equal blocks the
    first goes first, row by row of blocks.

    Attributes:
        rows: Of a block: neighbouring outputs.
        columns: Of a block: neighbouring inputs.
    """

    form: ClassVar[str] = "{block: [rows, columns]}"
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            WORD: {
                "type": ["array", "string"],
                "items": {"type": ["integer", "string"], "minimum": 1, "pattern": _REFERENCE},
                "minItems": 2,
                "maxItems": 2,
                "pattern": _REFERENCE,
            }
        },
        "required": [WORD],
        "additionalProperties": False,
    }

    rows: int
    columns: int

    @classmethod
    def read(cls, value: Any) -> Block | None:
        """See base class."""
        if value == WORD:
            raise ValueError(f"a block has {_SIDES}")
        if not isinstance(value, Mapping) or WORD not in value:
            return None
        if unknown := next((key for key in value if key != WORD), None):
            raise ValueError(f"no field '{unknown}' beside 'block'.{did_you_mean(unknown, [WORD])}")
        sides = value[WORD]
        if not isinstance(sides, Sequence) or isinstance(sides, str) or len(sides) != 2:
            raise ValueError(f"a block has {_SIDES}; got '{sides}'")
        if not all(type(side) is int and side >= 1 for side in sides):
            raise ValueError(f"a block has {_SIDES}; got '{sides}'")
        return cls(*sides)

    def write(self) -> dict[str, list[int]]:
        """See base class."""
        return {WORD: [self.rows, self.columns]}

    def __str__(self) -> str:
        return f"blocks of {self.rows} x {self.columns}"

    @property
    def needs(self) -> str:
        """See base class."""
        return f"multiples of {self.rows} outputs and of {self.columns} inputs"

    def fits(self, layer: Layer) -> bool:
        """See base class."""
        return layer.rows % self.rows == 0 and columns(layer) % self.columns == 0

    def quota(
        self,
        allocation: Allocation,
        layers: Sequence[Layer],
        sparsity: Sparsity,
        guard: Guard,
    ) -> Quota:
        """See base class; an allocation sees layers whose single weights are blocks."""
        area = self.rows * self.columns
        coarse = [
            replace(layer, shape=(down, layer.size // area // down))
            for layer in layers
            for down in [layer.rows // self.rows]
        ]
        least = None if guard.min_nonzeros is None else -(-guard.min_nonzeros // area)
        try:
            quota = allocation(coarse, sparsity, replace(guard, min_nonzeros=least))
        except ValueError as error:
            text = f"counting each of the {self} as one weight, {error}"
            raise ValueError(text) from None
        return quota.each(lambda blocks: blocks * area)

    def choose(
        self, scores: Mapping[str, Scores], shapes: Mapping[str, Shape], quota: Quota
    ) -> dict[str, torch.Tensor]:
        """See base class."""
        from pruneflow.pruning.masks import chunks
        from pruneflow.pruning.threshold import select

        area = self.rows * self.columns
        sums = {name: self._sums(start, shapes[name]) for name, start in scores.items()}
        chosen = select(
            {name: partial(chunks, part) for name, part in sums.items()},
            quota.each(lambda zeros: zeros // area),
        )
        return {
            name: self._spread(chosen.pop(name).view(sums[name].shape), shapes[name])
            for name in scores
        }

    def _sums(self, start: Scores, shape: Shape) -> torch.Tensor:
        """The score of every block: rows and columns of blocks."""
        matrix = gathered(start, shape)
        exact = matrix.float() if matrix.element_size() < 4 else matrix
        down, across = matrix.shape[0] // self.rows, matrix.shape[1] // self.columns
        return exact.view(down, self.rows, across, self.columns).sum((1, 3))

    def _spread(self, blocks: torch.Tensor, shape: Shape) -> torch.Tensor:
        """What holds for a block said of each of its weights, in the order of indices."""
        tall = blocks.repeat_interleave(self.rows, 0)
        return flat(tall.repeat_interleave(self.columns, 1), shape)
