"""This process as one of several that share out weights; a fake group stands for the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore


@contextmanager
def seat(rank: int, size: int) -> Iterator[DeviceMesh]:
    """Context: this process is one of several."""
    distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=size)
    try:
        yield init_device_mesh("cpu", (size,))
    finally:
        distributed.destroy_process_group()


def share(tensor: torch.Tensor, mesh: DeviceMesh) -> DTensor:
    """The tensor with its rows shared out as ``fully_shard`` does."""
    part = [*tensor.split(-(-len(tensor) // mesh.size())), *[tensor[:0]] * mesh.size()]
    whole = {"shape": tensor.shape, "stride": tensor.stride()}
    return DTensor.from_local(
        part[mesh.get_local_rank()], mesh, [Shard(0)], run_check=False, **whole
    )
