"""``wanda``: small weights of quiet inputs go, row by row (Sun et al. 2023, arXiv:2306.11695)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.oneshot.base import ONESHOT, Change, OneShot, Task, require_products
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    import torch


@ONESHOT.register("wanda")
@dataclass(frozen=True)
class Wanda(OneShot):
    """Absolute weight times the norm of its input; compared within each output's weights.

    One layer after the other, in the order in which the network calls them, each on inputs from
    layers pruned before it (Sun et al. 2023, arXiv:2306.11695). Runs over the calibration
    batches once for each layer.
    """

    layerwise: ClassVar[bool] = True

    def require_fit(self, layers: Sequence[Layer], granularity: Granularity) -> None:
        """See base class."""
        super().require_fit(layers, granularity)
        require_products(layers)

    def prune(self, task: Task) -> Iterator[Change]:
        """See base class."""
        from pruneflow.pruning.oneshot.observing import observe, order_of_calls, squares

        for name in order_of_calls(task.model, task.names, task.calibration):
            norms = observe(task.model, name, task.calibration, squares).sqrt()
            scores = wanda_scores(task.weight(name), norms)
            zeros, pruned = task.layer_zeros(name), task.already(name)
            if task.granularity == UNSTRUCTURED:
                yield Change(name, lowest_of_rows(scores, zeros, pruned))
            else:
                quota = Quota.fixed({name: zeros})
                yield Change(name, task.choose({name: scores}, quota, {name: pruned})[name])


def wanda_scores(weight: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
    """``|W_ij| * ||X_j||_2`` (equation 1), in double precision.

    Args:
        weight: (out, in, ...).
        norms: Of the matrices' columns: (groups, columns).
    """
    from pruneflow.pruning.oneshot.matrices import as_matrices, as_weight

    matrices = as_matrices(weight.double().abs(), len(norms))
    return as_weight(matrices * norms[:, None].to(matrices.device), weight.shape)


def lowest_of_rows(scores: torch.Tensor, zeros: int, pruned: torch.Tensor) -> torch.Tensor:
    """Mark the lowest scores of every row, of each the same number.

    What does not divide goes to the first rows, and a row that has lost more already keeps its
    zeros; so together there are exactly ``zeros``. Ties by index.

    Args:
        scores: (rows, ...).
        zeros: How many are to go.
        pruned: True where a weight is pruned already.

    Raises:
        ValueError: More are pruned already, or there are fewer scores.
    """
    import torch

    flat = scores.masked_fill(pruned, -torch.inf).reshape(len(scores), -1)
    counts = row_counts(pruned.reshape(len(scores), -1).sum(1).tolist(), flat.shape[1], zeros)
    ranks = torch.empty_like(flat, dtype=torch.int64)
    places = torch.arange(flat.shape[1], device=flat.device).expand_as(ranks)
    ranks.scatter_(1, flat.argsort(dim=1, stable=True), places)
    return (ranks < torch.tensor(counts, device=flat.device)[:, None]).view(scores.shape)


def row_counts(pruned: Sequence[int], columns: int, zeros: int) -> list[int]:
    """Divide zeros among rows as evenly as their earlier zeros let.

    Raises:
        ValueError: ``zeros`` are fewer than the earlier ones, or more than there are weights.
    """
    if not sum(pruned) <= zeros <= len(pruned) * columns:
        raise ValueError(f"{zeros} zeros in rows of {columns} that have {sum(pruned)} already")

    def filled(level: int) -> int:
        return sum(max(level, row) for row in pruned)

    level = bisect_right(range(columns + 1), zeros, key=filled) - 1
    counts = [max(level, row) for row in pruned]
    left = zeros - sum(counts)
    for index in [index for index, row in enumerate(pruned) if row <= level][:left]:
        counts[index] += 1
    return counts
