"""``sparsegpt``: prune and reconstruct (Frantar & Alistarh 2023, arXiv:2301.00774)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.apportionment import spread
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.granularities.nm import NM
from pruneflow.pruning.oneshot.base import ONESHOT, Change, OneShot, Task, require_products
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    import torch


@ONESHOT.register("sparsegpt")
@dataclass(frozen=True)
class SparseGPT(OneShot):
    """Weights go where the layer's outputs suffer least, and those left make up for them.

    One layer after the other, in the order in which the network calls them, each on inputs from
    layers pruned before it (Frantar & Alistarh 2023, arXiv:2301.00774). Runs over the
    calibration batches once for each layer. Weights of inputs that were zero throughout go
    first; those of them that the quota leaves keep their values.

    Attributes:
        damping: Added to the Hessian's diagonal, as a share of its mean.
        block_size: Columns that lose the same share and are chosen together; n:m chooses every
            m columns.
    """

    layerwise: ClassVar[bool] = True

    damping: float = 0.01
    block_size: int = 128

    def require_fit(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """See base class."""
        super().require_fit(layers, granularity)
        require_products(layers)
        if granularity != UNSTRUCTURED and not isinstance(granularity, NM):
            raise ValueError(
                f"sparsegpt chooses single weights or n:m, not {granularity}: choose another "
                "granularity or another criterion"
            )

    def prune(self, task: Task) -> Iterator[Change]:
        """See base class."""
        import torch

        from pruneflow.pruning.oneshot.matrices import as_matrices, as_weight, groups_of
        from pruneflow.pruning.oneshot.observing import gram, observe, order_of_calls, products

        for name in order_of_calls(task.model, task.names, task.calibration):
            weight = task.weight(name)
            groups = groups_of(products(task.model, name)[0])
            hessians = observe(task.model, name, task.calibration, gram).to(weight.device)
            problem = Problem(
                as_matrices(weight.double(), groups),
                hessians,
                as_matrices(task.already(name), groups),
                task.granularity,
            )
            solved = problem.solve(task.layer_zeros(name), self.damping, self.block_size)
            matrices, marks = (as_weight(torch.stack(part), weight.shape) for part in solved)
            yield Change(name, marks, matrices.to(weight))


@dataclass(frozen=True)
class Problem:
    """One layer: its matrices and what they multiply.

    Attributes:
        matrices: (groups, rows, columns), in double precision; zero where pruned already.
        hessians: X^T X of each group's inputs, (groups, columns, columns).
        pruned: True where a weight is pruned already.
        granularity: Single weights or n:m.
    """

    matrices: torch.Tensor
    hessians: torch.Tensor
    pruned: torch.Tensor
    granularity: Granularity = UNSTRUCTURED

    def solve(
        self, zeros: int, damping: float, block_size: int
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The new matrices of each group and booleans, True at exactly ``zeros`` pruned weights.

        Raises:
            ValueError: There is no room for so many zeros, or there are more already.
            TrainingError: A Hessian is singular; more damping helps.
        """
        import torch

        from pruneflow.pruning.oneshot.obs import inverse_factor, sweep

        width = block_size
        if isinstance(self.granularity, NM):
            width = self.granularity.m
            block_size = max(width, block_size - block_size % width)
        counts = self.counts(zeros, width)
        weights, marks = [], []
        for group, (matrix, hessian) in enumerate(zip(self.matrices, self.hessians, strict=True)):
            live = hessian.diagonal() > 0
            choose = partial(self._choose, group, counts[group])
            factor = inverse_factor(hessian, damping)
            given = torch.where(live, matrix, 0.0)
            solved, gone = sweep(given, factor, choose, width, block_size)
            weights.append(torch.where(live | gone, solved, matrix))
            marks.append(gone)
        return weights, marks

    def counts(self, zeros: int, width: int) -> list[dict[int, int]]:
        """How many are to go of each group's columns, by the first of every ``width`` columns.

        Each gets the same share of what is left, to the nearest whole numbers that add up.

        Raises:
            ValueError: There is no room for so many zeros, or there are more already.
        """
        share = self.granularity.sparsity or 1.0
        columns = self.matrices.shape[2]
        earlier, room = {}, {}
        for group, pruned in enumerate(self.pruned):
            for start in range(0, columns, width):
                part = pruned[:, start : start + width]
                place = f"{group}/{start}"
                earlier[place] = int(part.sum())
                room[place] = max(0, round(part.numel() * share) - earlier[place])
        more = zeros - sum(earlier.values())
        if not 0 <= more <= sum(room.values()):
            raise ValueError(
                f"{zeros:,} zeros do not fit {self.pruned.numel():,} weights with "
                f"{sum(earlier.values()):,} zeros already, for {self.granularity}"
            )
        extra = spread(more, room)
        return [
            {
                start: earlier[f"{group}/{start}"] + extra[f"{group}/{start}"]
                for start in range(0, columns, width)
            }
            for group in range(len(self.matrices))
        ]

    def _choose(
        self, group: int, counts: dict[int, int], start: int, saliency: torch.Tensor
    ) -> torch.Tensor:
        import torch

        from pruneflow.pruning.masks import chunks

        earlier = self.pruned[group, :, start : start + saliency.shape[1]]
        scores = saliency.masked_fill(earlier, -torch.inf)
        chosen = self.granularity.choose(
            {"": partial(chunks, scores)},
            {"": tuple(scores.shape)},
            Quota.fixed({"": counts[start]}),
        )
        return chosen[""].view(scores.shape)
