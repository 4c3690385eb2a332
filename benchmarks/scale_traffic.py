"""One case of ``benchmarks.scale``: what ranks tell each other in a pruning event."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.scale_events import engine, network, spent
from pruneflow import runfolder
from pruneflow.pruning.shards import local


class Traffic(TorchDispatchMode):
    """Counts the bytes that this process passes to collectives, and how often."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "c10d" in func.namespace:
            name = func.__name__.partition(".")[0].strip("_")
            mine = args["allgather" in name]  # whose first argument is for what comes
            self.bytes[name] += sum(part.numel() * part.element_size() for part in mine)
            self.calls += 1
        return func(*args, **(kwargs or {}))


def cell(ranks: int, size: int) -> dict[str, Any]:
    """Two pruning events of a network whose rows so many gloo ranks share out.

    Returns:
        Bytes and calls of one rank in the second event, the same on each; the longest CPU time,
        and the most memory in parts of what a rank holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(_work, (ranks, size, folder), ranks)
        found = [runfolder.read_json(Path(folder) / f"{rank}.json") for rank in range(ranks)]
    assert len({(str(each["bytes"]), each["calls"], each["mask_hash"]) for each in found}) == 1
    return {
        "ranks": ranks,
        **{key: found[0][key] for key in ("parameters", "bytes", "calls")},
        "event_seconds": max(each["seconds"] for each in found),
        "event_extra": max(each["extra"] for each in found),
    }


def _work(rank: int, ranks: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/meeting", ranks)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    model = network(size, "meta")
    mesh = init_device_mesh("cpu", (ranks,))
    for layer in model:
        fully_shard(layer, mesh=mesh)
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(rank)
    for weight in model.parameters():
        local(weight).normal_(generator=generator)
    pruning = engine(model, 3)
    pruning.advance(1)
    held = sum(4 * local(weight).numel() for weight in model.parameters())
    seconds, peak, _ = spent(lambda: pruning.advance(2))
    with Traffic() as counted:
        pruning.advance(3)
    found = {
        "parameters": pruning.plan.size,
        "bytes": dict(counted.bytes),
        "calls": counted.calls,
        "seconds": round(seconds, 4),
        "extra": round(peak / held, 3),
        "mask_hash": pruning.state.journal[-1]["mask_hash"],
    }
    runfolder.write_json(Path(folder) / f"{rank}.json", found)
    distributed.destroy_process_group()
