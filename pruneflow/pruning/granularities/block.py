"""``block``: whole blocks of rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pruneflow.errors import did_you_mean
from pruneflow.pruning.granularities.base import GRANULARITIES, Shape, columns
from pruneflow.pruning.granularities.whole import WholeUnits
from pruneflow.pruning.scope import Layer

WORD = "block"
_REFERENCE = r"\$\{[^{}]+\}"  # may stand for a number, or for both
_SIDES = "two whole numbers from 1, rows and columns: {block: [32, 32]}"


@GRANULARITIES.register(WORD)
@dataclass(frozen=True)
class Block(WholeUnits):
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

    def unit(self, shape: Shape) -> tuple[int, int]:
        """See base class."""
        return self.rows, self.columns
