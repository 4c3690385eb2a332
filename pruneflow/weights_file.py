"""Files of weights and masks: safetensors that know their own content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

_SHA256 = "pruneflow.sha256"


def content(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """What to write so that damage shows when it is read; any reader of safetensors reads it."""
    separate = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    return save(separate, {_SHA256: _digest(separate)})


def load(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in a file, by name; one that somebody else has written cannot be checked.

    Raises:
        OSError: It cannot be read.
        SafetensorError: It is damaged.
        ValueError: It is damaged: its content is not what it was.
    """
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        known = (file.metadata() or {}).get(_SHA256)
    if known not in (None, _digest(tensors)):
        raise ValueError("is damaged: its checksum differs")
    return tensors


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of names, types, shapes and values."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
