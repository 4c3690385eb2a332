"""Processes that train one network together: whether they agree, and what they tell each other."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import distributed, nn

from pruneflow.errors import TrainingError

if TYPE_CHECKING:
    from pruneflow.modifiers.events import Event


def count() -> int:
    """How many processes train together; 1 where nothing joins this one to others."""
    joined = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if joined else 1


def agreed(mask_hash: str, event: Event) -> str:
    """The hash of the masks that an event has left, which every process has to have found.

    Raises:
        TrainingError: On every process, where one of them found another.
    """
    if count() == 1:
        return mask_hash
    text = f"{event.step}/{event.modifier}/{event.action}/{mask_hash}"
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], signed=True)
    found = [int(each) for each in _all(torch.tensor([number]))]
    if others := [str(rank) for rank, each in enumerate(found) if each != found[0]]:
        who = f"rank {others[0]} has" if len(others) == 1 else f"ranks {', '.join(others)} have"
        raise TrainingError(
            f"modifiers.{event.modifier}: after its event '{event.action}' at step {event.step} "
            f"{who} other masks than rank 0. All {len(found)} processes have to hold the same "
            "weights and gather the same scores: does the module change weights by itself, or "
            "keep gradients from being averaged?"
        )
    return mask_hash


@torch.no_grad()
def share_buffers(model: nn.Module) -> None:
    """Give every process the buffers of rank 0, e.g. running statistics of batch norms.

    Each process gathers those of its own batches; ``DistributedDataParallel`` shares them as a
    training batch begins, and whatever looks at the network in between calls this.
    """
    if count() == 1:
        return
    for buffer in model.buffers():
        if type(buffer) is torch.Tensor and buffer.numel():
            there = buffer.to(_device(buffer)).contiguous()
            distributed.broadcast(there, 0)
            if there.data_ptr() != buffer.data_ptr():
                buffer.copy_(there)


def gathered(tree: Any) -> list[Any]:
    """What each process has, in their order, on all of them; tensors on the CPU.

    Args:
        tree: Plain containers, numbers and tensors.
    """
    if count() == 1:
        return [tree]
    stream = io.BytesIO()
    torch.save(tree, stream)
    mine = torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8)
    sizes = [int(size) for size in _all(torch.tensor([mine.numel()]))]
    padded = torch.zeros(max(sizes), dtype=torch.uint8)
    padded[: mine.numel()] = mine
    parts = zip(_all(padded), sizes, strict=True)
    return [_loaded(part[:size]) for part, size in parts]


def _loaded(content: torch.Tensor) -> Any:
    stream = io.BytesIO(content.numpy().tobytes())
    return torch.load(stream, map_location="cpu", weights_only=True)


def _all(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensors of all processes, which are of one shape."""
    mine = tensor.to(_device(tensor))
    found = [torch.empty_like(mine) for _ in range(count())]
    distributed.all_gather(found, mine)
    return (each.cpu() for each in found)


def _device(tensor: torch.Tensor) -> torch.device:
    """Where a tensor has to be for processes to tell each other of it."""
    if tensor.is_cpu and distributed.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return tensor.device
