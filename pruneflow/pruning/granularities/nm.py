"""``n:m``: of every m neighbouring inputs at most n are left."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

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

    from pruneflow.pruning.shards import Ranks
    from pruneflow.pruning.threshold import Scores

LARGEST = 32
_PATTERN = "|".join(f"({'|'.join(map(str, range(1, m)))}):{m}" for m in range(2, LARGEST + 1))


@GRANULARITIES.register("n:m")
@dataclass(frozen=True)
class NM(Granularity):
    """Of every m neighbouring inputs at most n are left, the highest-scoring ones.

    In the end just n: the final sparsity is ``1 - n/m`` in every layer. On the way there the
    quota's lowest scores go, of those that are among the m - n lowest of their group; among
    equal ones of a group the first goes first. (One step is Mishra et al. 2021,
    arXiv:2104.08378; Zhou et al. 2021, arXiv:2102.04010 train such masks.)

    Attributes:
        n: Weights left of a group.
        m: Weights of a group: neighbours in a row of the matrix.
    """

    form: ClassVar[str] = f'"n:m" (n < m <= {LARGEST})'
    schema: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "pattern": f"^({_PATTERN})$",
        "patternErrorMessage": f'"n:m" with n < m <= {LARGEST}; "2:4" leaves two of every four',
    }

    by_row: ClassVar[bool] = True

    n: int
    m: int

    @classmethod
    def read(cls, value: Any) -> NM | None:
        """See base class."""
        if not isinstance(value, str) or re.fullmatch(_PATTERN, value) is None:
            return None
        return cls(*map(int, value.split(":")))

    def write(self) -> str:
        """See base class."""
        return str(self)

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"

    @property
    def needs(self) -> str:
        """See base class."""
        return f"a multiple of {self.m} inputs"

    @property
    def sparsity(self) -> float:
        """See base class."""
        return 1 - self.n / self.m

    def fits(self, layer: Layer) -> bool:
        """See base class."""
        return columns(layer) % self.m == 0

    def continues(self, earlier: Granularity) -> bool:
        """See base class."""
        return isinstance(earlier, NM) and earlier.m == self.m and earlier.n >= self.n

    def quota(
        self,
        allocation: Allocation,
        layers: Sequence[Layer],
        sparsity: Sparsity,
        guard: Guard,
    ) -> Quota:
        """See base class."""
        quota = allocation(layers, sparsity, guard)
        room = {layer.name: layer.size // self.m * (self.m - self.n) for layer in layers}
        caps = {name: min(cap, room[name]) for name, cap in quota.caps.items()}
        for name, zeros in (quota.layers or {}).items():
            if zeros > room[name]:
                raise ValueError(
                    f"the allocation asks for {zeros:,} zeros in '{name}', where {self} has room "
                    f"for {room[name]:,}: choose allocation 'uniform' or 'global'"
                )
        if quota.zeros > sum(caps.values()):
            raise ValueError(
                f"{self} needs {quota.zeros:,} zeros, but with the guard against dead layers "
                f"(max_layer_sparsity, min_nonzeros) there is room for {sum(caps.values()):,}"
            )
        return replace(quota, caps=caps)

    def choose(
        self,
        scores: Mapping[str, Scores],
        shapes: Mapping[str, Shape],
        quota: Quota,
        ranks: Ranks | None = None,
    ) -> dict[str, torch.Tensor]:
        """See base class."""
        from pruneflow.pruning.threshold import select

        spared = {name: self._spared(start, shapes[name]) for name, start in scores.items()}
        return select(scores, quota, spared, ranks)

    def _spared(self, start: Scores, shape: Shape) -> torch.Tensor:
        """The n highest of every group, but what is pruned; booleans in the order of indices."""
        import torch

        from pruneflow.pruning.threshold import CHUNK

        groups = gathered(start, shape).reshape(-1, self.m)
        spared = torch.ones_like(groups, dtype=torch.bool)
        size = CHUNK // self.m
        for part, mark in zip(torch.split(groups, size), torch.split(spared, size), strict=True):
            lowest = part.argsort(dim=1, stable=True)[:, : self.m - self.n]
            mark.scatter_(1, lowest, False).logical_and_(part > -torch.inf)
        return flat(spared, shape)
