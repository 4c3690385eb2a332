"""Batches: tensors in whatever lists, tuples and dictionaries a data set gives."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

import torch


def mapped(change: Callable[[torch.Tensor], torch.Tensor], batch: Any) -> Any:
    """A batch whose tensors are changed ones, in containers of the same types."""
    if isinstance(batch, torch.Tensor):
        return change(batch)
    if isinstance(batch, dict):
        parts = copy(batch)
        for key, part in batch.items():
            parts[key] = mapped(change, part)
        return parts
    if isinstance(batch, list | tuple):
        sequence = [mapped(change, part) for part in batch]
        return type(batch)(*sequence) if hasattr(batch, "_fields") else type(batch)(sequence)
    return batch


def copied(batch: Any) -> Any:
    """A batch with copies of its tensors, for a forward may write into them."""
    return mapped(lambda tensor: tensor.detach().clone(), batch)
