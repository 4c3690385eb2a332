"""Masks: tensors of ones and zeros, one for each pruned weight and of its dtype."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch

from pruneflow.pruning.threshold import CHUNK

Masks = dict[str, torch.Tensor]


def chunks(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Flat pieces of a tensor in index order."""
    flat = tensor.detach().reshape(-1)
    for start in range(0, flat.numel(), CHUNK):
        yield flat[start : start + CHUNK]


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    return all(bool(torch.isfinite(chunk).all()) for chunk in chunks(tensor))


def count_zeros(mask: torch.Tensor) -> int:
    """How many weights a mask prunes."""
    return mask.numel() - int(mask.count_nonzero())


def pack(mask: torch.Tensor) -> torch.Tensor:
    """The mask as bits, eight to a byte, the first weight in the highest bit."""
    bits = mask.detach().reshape(-1).ne(0).cpu()
    padded = torch.zeros(-(-bits.numel() // 8) * 8, dtype=torch.uint8)
    padded[: bits.numel()] = bits
    places = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)
    return (padded.view(-1, 8) * places).sum(1, dtype=torch.uint8)


def digest(masks: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, shapes and bits: equal on every rank, at every resume."""
    sha = hashlib.sha256()
    for name in sorted(masks):
        sha.update(f"{name}{tuple(masks[name].shape)}".encode())
        sha.update(pack(masks[name]).numpy().tobytes())
    return sha.hexdigest()[:16]
