"""``sell``: sliced ELL with 16-bit columns; reads and computes what is left, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from pruneflow.deploy.kernels.base import (
    KERNELS,
    Activation,
    Config,
    Kernel,
    Packed,
    Window,
    split,
)
from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.language import cdiv, constexpr, jit, tl
from pruneflow.deploy.kernels.launch import Launch

ALIGN = 8
"""Rows start at multiples of so many values: 16 bytes of them, read at once."""


@jit
def sell_gemv(
    x_ptr, columns_ptr, values_ptr, starts_ptr, counts_ptr, bias_ptr, y_ptr,
    batch, rows, x_row, x_column, y_row,
    BLOCK_ROWS: constexpr, BLOCK_VALUES: constexpr, KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: some rows of the weight, one sample; lanes along the values of a row."""
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    sample = tl.program_id(1)
    lane = tl.arange(0, BLOCK_VALUES)
    there = row < rows
    start = tl.load(starts_ptr + row, mask=there, other=0) * 8
    count = tl.load(counts_ptr + row, mask=there, other=0)
    total = tl.zeros((BLOCK_ROWS, BLOCK_VALUES), dtype=tl.float32)
    x_ptr += sample.to(tl.int64) * x_row
    for i in range(0, tl.max(count), BLOCK_VALUES):
        place = i + lane[None, :]
        kept = place < count[:, None]
        where = start[:, None] + place
        column = tl.load(columns_ptr + where, mask=kept, other=0).to(tl.uint16, bitcast=True)
        value = tl.load(values_ptr + where, mask=kept, other=0.0).to(tl.float32)
        x = tl.load(x_ptr + column.to(tl.int32) * x_column, mask=kept, other=0.0)
        total += value * x.to(tl.float32)
    y = tl.sum(total, axis=1)
    if bias_ptr is not None:
        y += tl.load(bias_ptr + row, mask=there, other=0.0).to(tl.float32)
    y = activated(y, KIND, SLOPE)
    y_ptr += sample.to(tl.int64) * y_row
    tl.store(y_ptr + row, y.to(y_ptr.dtype.element_ty), mask=there)


class Sell(Kernel):
    """Rows one after the other, each with the columns of its weights in rising order."""

    name: ClassVar[str] = "sell"

    def refuses(self, weight: torch.Tensor) -> str | None:
        """See base class."""
        return None if weight.shape[1] <= 1 << 16 else "more than 65536 columns"

    def pack(self, weight: torch.Tensor) -> Packed:
        """See base class."""
        mask = weight != 0
        counts = mask.sum(1)
        room = (counts + ALIGN - 1) // ALIGN
        starts = room.cumsum(0) - room
        rows, columns = mask.nonzero(as_tuple=True)
        rank = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        places = starts[rows] * ALIGN + rank
        size = int(room.sum()) * ALIGN
        values = weight.new_zeros(size)
        values[places] = weight[rows, columns]
        stored = torch.zeros(size, dtype=torch.int64)
        stored[places] = columns
        parts = (
            stored.to(torch.uint16).view(torch.int16), values,
            starts.to(torch.int32), counts.to(torch.int32),
        )  # fmt: skip
        return Packed(self.name, tuple(weight.shape), parts)

    def unpack(self, packed: Packed) -> torch.Tensor:
        """See base class."""
        columns, values, starts, counts = packed.parts
        rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        rank = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        places = starts[rows] * ALIGN + rank
        weight = values.new_zeros(packed.shape)
        weight[rows, columns[places].long() & 0xFFFF] = values[places]
        return weight

    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """See base class."""
        return [{"BLOCK_ROWS": 4, "BLOCK_VALUES": 256, "num_warps": 4, "num_stages": 2}]

    def launches(
        self,
        x: torch.Tensor,
        packed: Packed,
        bias: torch.Tensor | None,
        activation: Activation,
        window: Window,
        config: Config,
        y: torch.Tensor,
    ) -> Sequence[Launch]:
        """See base class."""
        tiles, warps, stages = split(config)
        columns, values, starts, counts = packed.parts
        rows = packed.shape[0]
        arguments = {
            "x_ptr": x, "columns_ptr": columns, "values_ptr": values, "starts_ptr": starts,
            "counts_ptr": counts, "bias_ptr": bias, "y_ptr": y, "batch": len(x), "rows": rows,
            "x_row": x.stride(0), "x_column": x.stride(1), "y_row": y.stride(0),
        }  # fmt: skip
        grid = (cdiv(rows, tiles["BLOCK_ROWS"]), len(x))
        constants = tiles | activation.constants
        return [Launch(sell_gemv, grid, arguments, constants, warps, stages)]


KERNELS.register(Sell.name)(Sell())
