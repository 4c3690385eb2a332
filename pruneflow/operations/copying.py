"""Copies of what a forward is given, for a forward may write into it."""

from __future__ import annotations

from typing import Any

import torch


def copied(batch: Any) -> Any:
    """A batch with copies of the tensors in its lists, tuples and dictionaries."""
    if isinstance(batch, torch.Tensor):
        return batch.detach().clone()
    if type(batch) is dict:
        return {key: copied(part) for key, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(copied, batch))
    if type(batch) in (list, tuple):
        return type(batch)(map(copied, batch))
    return batch
