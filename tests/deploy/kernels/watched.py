"""Launches in Triton's interpreter, under watch: it reads stray memory and knows no races."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from triton.runtime.interpreter import GridExecutor, interpreter_builder

from pruneflow.deploy.kernels.launch import Launch

Addresses = npt.NDArray[np.uint64]
Touched = defaultdict[tuple[object, int], list[Addresses]]
"""By program, and the barriers before."""


def run(launch: Launch) -> None:
    """Run a launch; what its programs touch has to be theirs to touch.

    All addresses are those of elements of arguments. No program touches what another writes. Of
    what one program writes between two barriers it reads nothing before the second, and nothing
    is written twice: its threads may be anywhere between them.
    """
    tensors = [each for each in launch.arguments.values() if isinstance(each, torch.Tensor)]
    known = np.unique(np.concatenate([_elements(tensor) for tensor in tensors]))
    reads: Touched = defaultdict(list)
    writes: Touched = defaultdict(list)
    barriers = 0
    builder = interpreter_builder
    load, store = builder.create_masked_load, builder.create_masked_store

    def touched(pointers: Any, mask: Any) -> Addresses:
        active = pointers.data[np.broadcast_to(mask.data, pointers.data.shape)]
        nearest = known[np.searchsorted(known, active).clip(max=len(known) - 1)]
        assert (nearest == active).all(), f"{launch.function.__name__} is out of bounds"
        return np.asarray(active)

    def watched_load(pointers: Any, mask: Any, *rest: Any) -> Any:
        reads[builder.grid_idx, barriers].append(touched(pointers, mask))
        return load(pointers, mask, *rest)

    def watched_store(pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        writes[builder.grid_idx, barriers].append(touched(pointers, mask))
        return store(pointers, value, mask, *rest)

    def watched_barrier() -> None:
        nonlocal barriers
        barriers += 1

    with (
        patch.object(GridExecutor, "_init_args_hst", lambda self, *arguments: arguments),
        patch.object(GridExecutor, "_restore_args_dev", lambda self, *arguments: None),
        patch.object(builder, "create_masked_load", watched_load),
        patch.object(builder, "create_masked_store", watched_store),
        patch.object(builder, "create_barrier", watched_barrier),
    ):
        launch.run()
    _assert_apart(reads, writes)


def _assert_apart(reads: Touched, writes: Touched) -> None:
    owner: dict[int, object] = {}
    for (program, barrier), parts in writes.items():
        written = np.concatenate(parts)
        mine = set(written.tolist())
        assert len(mine) == len(written), "two threads write the same"
        read = reads.get((program, barrier), [])
        assert not any(np.isin(part, written).any() for part in read), "a barrier is missing"
        assert all(owner.setdefault(each, program) == program for each in mine), "programs race"
    shared = np.array(sorted(owner), dtype=np.uint64)
    for (program, _), parts in reads.items():
        touched = np.concatenate(parts)
        both = touched[np.isin(touched, shared)].tolist()
        assert all(owner[each] == program for each in both), "programs race"


def _elements(tensor: torch.Tensor) -> Addresses:
    """The addresses of all elements."""
    offset = torch.zeros((), dtype=torch.int64)
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        offset = offset[..., None] + torch.arange(size) * stride
    first = np.uint64(tensor.data_ptr())
    addresses: Addresses = first + offset.flatten().numpy().astype(np.uint64) * np.uint64(
        tensor.itemsize
    )
    return addresses
