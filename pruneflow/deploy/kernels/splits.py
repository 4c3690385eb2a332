"""Sums that several programs share: each writes its part, a second launch adds them in order.

So outputs do not depend on which program ends first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pruneflow.deploy.kernels.base import Activation
from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.language import cdiv, constexpr, jit, tl
from pruneflow.deploy.kernels.launch import Launch

BATCH, OUT = 4, 128
"""A tile of outputs."""


@jit
def add_parts(
    parts_ptr, bias_ptr, y_ptr, batch, rows, size,
    SPLIT: constexpr, BATCH: constexpr, OUT: constexpr, KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: a tile of outputs."""
    sample = tl.program_id(0) * BATCH + tl.arange(0, BATCH)[:, None]
    row = tl.program_id(1) * OUT + tl.arange(0, OUT)[None, :]
    there = (sample < batch) & (row < rows)
    place = sample.to(tl.int64) * rows + row
    total = tl.zeros((BATCH, OUT), dtype=tl.float32)
    for _ in tl.static_range(SPLIT):
        total += tl.load(parts_ptr + place, mask=there, other=0.0)
        place += size
    if bias_ptr is not None:
        total += tl.load(bias_ptr + row, mask=row < rows, other=0.0).to(tl.float32)
    total = activated(total, KIND, SLOPE)
    y_ptr += sample.to(tl.int64) * rows + row
    tl.store(y_ptr, total.to(y_ptr.dtype.element_ty), mask=there)


def room(split: int, y: torch.Tensor) -> torch.Tensor:
    """Where programs write: outputs (n, out), or float32 parts of them, (split, n, out)."""
    return y if split == 1 else y.new_empty((split, *y.shape), dtype=torch.float32)


def sums(
    parts: torch.Tensor, bias: torch.Tensor | None, activation: Activation, y: torch.Tensor
) -> Sequence[Launch]:
    """Contiguous outputs from their parts, if these are not the outputs themselves."""
    if parts is y:
        return []
    split, batch, rows = parts.shape
    arguments = {
        "parts_ptr": parts, "bias_ptr": bias, "y_ptr": y,
        "batch": batch, "rows": rows, "size": batch * rows,
    }  # fmt: skip
    constants = {"SPLIT": split, "BATCH": BATCH, "OUT": OUT} | activation.constants
    return [Launch(add_parts, (cdiv(batch, BATCH), cdiv(rows, OUT)), arguments, constants)]
