"""Weights whose rows are shared out among processes, as ``fully_shard`` leaves them.

Such a weight is a ``DTensor`` with the one placement ``Shard(0)``: every process holds some of
its rows, one after the other, perhaps none. Every other tensor is whole on each of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup
    from torch.distributed.tensor import DTensor


@dataclass(frozen=True)
class Ranks:
    """Processes of which each holds the rows after those of the one before.

    Attributes:
        rank: This process.
        size: How many there are.
        group: How they talk; None for a process that holds all rows.
        device: Where numbers have to be for that.
    """

    rank: int = 0
    size: int = 1
    group: ProcessGroup | None = None
    device: str = "cpu"

    def sum(self, counts: torch.Tensor) -> torch.Tensor:
        """The sums over all processes, on each of them: of whole numbers, so in any order."""
        if self.group is None:
            return counts
        total = counts.to(self.device, copy=True)
        distributed.all_reduce(total, group=self.group)
        return total.to(counts.device)

    def total(self, count: int) -> int:
        """The sum of one number."""
        return int(self.sum(torch.tensor([count])))


ALONE = Ranks()
"""One process that holds everything."""


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether a tensor is a ``DTensor``."""
    module = sys.modules.get("torch.distributed.tensor")  # slow to load, and loaded if one exists
    return module is not None and isinstance(tensor, module.DTensor)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor, in the same memory and without a gradient."""
    return _dtensor(tensor).to_local().detach() if is_sharded(tensor) else tensor.detach()


def locals_of(tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """What this process holds of tensors: those that are whole as they are, gradient and all."""
    return [local(tensor) if is_sharded(tensor) else tensor for tensor in tensors]


def like(part: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor that is shared out like a weight, as that tensor.

    Args:
        part: Of the shape of what the process holds of the weight.
        weight: It.
    """
    if not is_sharded(weight):
        return part
    from torch.distributed.tensor import DTensor

    whole, stride = weight.shape, _contiguous(tuple(weight.shape))
    mesh, places = _dtensor(weight).device_mesh, _dtensor(weight).placements
    return DTensor.from_local(part, mesh, places, run_check=False, shape=whole, stride=stride)


def fitted(tensor: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A tensor of a weight's whole shape, on its device and shared out like it.

    Args:
        tensor: Whole, or shared out like the weight already.
        weight: It.
    """
    if not is_sharded(weight):
        return tensor.to(weight.device)
    mine = local(weight)
    if is_sharded(tensor):
        return like(local(tensor).to(mine.device), weight)
    at = first_row(weight)
    return like(tensor[at : at + mine.shape[0]].to(mine.device, copy=True), weight)


def whole(tree: Any) -> Any:
    """Nested containers of which what is shared out is put together again, on process 0.

    Every process has to call it; on the others such tensors are empty.
    """
    if isinstance(tree, torch.Tensor) and is_sharded(tree):
        full = _dtensor(tree).full_tensor().cpu()
        return full if ranks_of({"": tree}).rank == 0 else full.new_empty(0)
    if isinstance(tree, dict):
        return {key: whole(part) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        parts = [whole(part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def first_row(weight: torch.Tensor) -> int:
    """Of a whole weight, the row that this process's begin with."""
    ranks = ranks_of({"": weight})
    each = -(-weight.shape[0] // ranks.size)
    return min(ranks.rank * each, weight.shape[0])


def offset(weight: torch.Tensor) -> int:
    """Of a whole weight, the flat index that this process's part begins with."""
    return first_row(weight) * prod(weight.shape[1:]) if is_sharded(weight) else 0


def ranks_of(weights: Mapping[str, torch.Tensor]) -> Ranks:
    """The processes that weights are shared out among.

    Raises:
        ValueError: Not by rows, or not all among the same processes.
    """
    sharded = {name: _dtensor(w) for name, w in weights.items() if is_sharded(w)}
    if not sharded:
        return ALONE
    for name in weights:
        if name not in sharded:
            raise ValueError(
                f"'{name}' is whole on every process, and '{next(iter(sharded))}' is shared out: "
                "call fully_shard on the module that holds both"
            )
    mesh = next(iter(sharded.values())).device_mesh
    for name, weight in sharded.items():
        if not _is_by_rows(weight):
            placed = ", ".join(map(repr, weight.placements))
            raise ValueError(
                f"'{name}' is placed as ({placed}), and a recipe can follow (Shard(dim=0),) "
                "alone: call fully_shard with a mesh of one dimension and no other parallelism"
            )
        if weight.device_mesh != mesh:
            raise ValueError(
                f"'{name}' is shared out among other processes than '{next(iter(sharded))}'"
            )
    return Ranks(mesh.get_local_rank(), mesh.size(), mesh.get_group(), mesh.device_type)


def _is_by_rows(weight: DTensor) -> bool:
    from torch.distributed.tensor import Shard

    return tuple(map(type, weight.placements)) == (Shard,) and weight.placements[0].is_shard(0)


def _dtensor(tensor: Any) -> DTensor:
    found: DTensor = tensor
    return found


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[dim + 1 :]) for dim in range(len(shape)))
