"""Masks: tensors of ones and zeros, one for each pruned weight and of its dtype.

Where processes share out the rows of weights, they share out those of masks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import torch

from pruneflow.pruning.fingerprint import fingerprint
from pruneflow.pruning.shards import local, locals_of, offset, ranks_of
from pruneflow.pruning.threshold import CHUNK

Masks = dict[str, torch.Tensor]


def chunks(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Flat pieces of what this process holds of a tensor, in index order; one at least."""
    flat = local(tensor).reshape(-1)
    for start in range(0, max(flat.numel(), 1), CHUNK):
        yield flat[start : start + CHUNK]


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite, on any process."""
    return not not_finite({"": tensor})


def not_finite(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of tensors that hold NaN or infinite numbers, on whatever process."""
    found = torch.tensor([any(map(_is_bad, chunks(tensor))) for tensor in tensors.values()])
    counts = ranks_of(tensors).sum(found.long()).tolist()
    return [name for name, count in zip(tensors, counts, strict=True) if count]


def unlike(masks: Mapping[str, torch.Tensor], kept: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of masks that differ, on whatever process, from booleans: its part of others."""
    found = torch.tensor(
        [not torch.equal(local(m).ne(0).view_as(kept[n]), kept[n]) for n, m in masks.items()]
    )
    counts = ranks_of(masks).sum(found.long()).tolist()
    return [name for name, count in zip(masks, counts, strict=True) if count]


def _is_bad(chunk: torch.Tensor) -> bool:
    if not chunk.numel():
        return False
    ends = torch.stack(torch.aminmax(chunk))  # NaN if there is one
    return not bool(ends.isfinite().all())


@torch.no_grad()
def put_back(weights: Sequence[torch.Tensor], masks: Sequence[torch.Tensor]) -> None:
    """Make pruned weights +0.0, given the mask of each tensor."""
    if weights:
        parts = locals_of(weights)
        torch._foreach_mul_(parts, locals_of(masks))
        torch._foreach_add_(parts, 0.0)  # -0.0 + 0.0 is +0.0


def count_zeros(mask: torch.Tensor) -> int:
    """How many weights a mask prunes."""
    return zeros_of({"": mask})[""]


def zeros_of(masks: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """How many weights each mask prunes."""
    parts = [local(mask) for mask in masks.values()]
    counts = torch.tensor([part.numel() - int(part.count_nonzero()) for part in parts])
    total = ranks_of(masks).sum(counts.long()).tolist()
    return dict(zip(masks, total, strict=True))


def digest(masks: Mapping[str, torch.Tensor]) -> str:
    """A hash of names, shapes and bits: equal on every rank, at every resume, however sharded."""
    names = sorted(masks)
    parts = [fingerprint(chunks(masks[name]), offset(masks[name])) for name in names]
    total = ranks_of(masks).sum(torch.tensor(parts, dtype=torch.int64)).tolist()
    sha = hashlib.sha256()
    for name, part in zip(names, total, strict=True):
        sha.update(f"{name}{tuple(masks[name].shape)}{part}".encode())
    return sha.hexdigest()[:16]
