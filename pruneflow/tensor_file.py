"""Files of ``torch.save`` that anybody may have written: nothing in them is run, nothing swells."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

DEEPEST = 100
FREE_NODES = 2**18
FREE_BYTES = 2**26
BYTES_PER_BYTE = 16
"""A tensor may stand in several places, and repeat its numbers; so much of that is believed."""


def load(path: Path, mapped: bool = False) -> Any:
    """The content of a file, on the CPU.

    Args:
        path: The file.
        mapped: Whether tensors stay on the disk until they are looked at.

    Raises:
        OSError: It cannot be read.
        ValueError: It takes far more memory than it has bytes, or is not of torch 1.6 or later.
        Exception: What torch raises where it is damaged, or holds more than plain values.
    """
    size = path.stat().st_size
    _require_plain(path, size)
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    _require_bounded(content, size)
    return content


def require_bounded(path: Path) -> None:
    """Refuse a file that would swell; one that torch cannot read is left to torch.

    Raises:
        OSError: See ``load``.
        ValueError: See ``load``.
    """
    try:
        load(path, mapped=True)
    except (OSError, ValueError):
        raise
    except Exception:  # noqa: S110 (torch names no common base for damaged files)
        pass


def _require_plain(path: Path, size: int) -> None:
    """Refuse what ``torch.save`` does not write: members that are compressed, or overlap."""
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no file of torch.save, or one of before torch 1.6")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or sum(member.file_size for member in members) > size:
        raise ValueError("it is compressed or damaged; torch.save writes no such file")


def _require_bounded(content: Any, size: int) -> None:
    """Refuse a tree of which the same part stands in so many places that it never ends."""
    nodes, room = 0, FREE_BYTES + BYTES_PER_BYTE * size
    rest = [(content, 0)]
    while rest:
        value, depth = rest.pop()
        parts: list[Any] = []
        if isinstance(value, torch.Tensor) and value.layout is torch.strided:
            room -= value.numel() * value.element_size()
        elif isinstance(value, dict):
            parts = [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            parts = list(value)
        nodes += len(parts)
        if room < 0 or nodes > max(size, FREE_NODES) or depth > DEEPEST:
            raise ValueError("it would take far more memory than it has bytes")
        rest += [(part, depth + 1) for part in parts]
