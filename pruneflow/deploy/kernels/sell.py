"""``sell``: sorted, sliced ELL; reads and computes what is left, nothing else.

After SELL-C-sigma (Kreutzer et al. 2014, SIAM J. Sci. Comput. 36(5), C401), with slices of one
row: rows lie sorted by length, so that those of one program end together. Within a row, each block
of 64 weights lies as the transpose of its 8 x 8: a lane reads 8 of them at once, while those that
neighbouring lanes work on at a time are neighbours in the row, and gather neighbouring inputs.
"""

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
from pruneflow.deploy.kernels.gather import grouped
from pruneflow.deploy.kernels.language import cdiv
from pruneflow.deploy.kernels.launch import Argument, Launch
from pruneflow.deploy.kernels.sell_gemv import sell_gemv
from pruneflow.deploy.kernels.sell_spmm import sell_spmm

ALIGN = 8
"""Rows start at multiples of so many values: 16 bytes of them, read at once."""

GEMV = ((4, 512, 4), (4, 256, 4), (2, 1024, 4), (2, 256, 2), (16, 64, 4))
"""Rows, values of each and warps, for long rows first; 8 or 16 values for each thread."""

SPMM = ((4, 32, 4, 4), (4, 32, 8, 4), (2, 32, 8, 2), (2, 64, 4, 4), (16, 8, 4, 4))
"""Rows, lanes of each, their steps at a time and warps, for long rows first; a lane a thread."""

BLOCK_COLUMNS = 128
"""Inputs that a program of ``gather.grouped`` moves for each of its samples."""


class Sell(Kernel):
    """Parts: columns, values, where rows start (in vectors of ``ALIGN``), which rows they are."""

    name: ClassVar[str] = "sell"

    def pack(self, weight: torch.Tensor) -> Packed:
        """See base class."""
        counts = (weight != 0).sum(1)
        order = counts.argsort(descending=True, stable=True)
        counts, sorted_weight = counts[order], weight[order]
        starts = torch.nn.functional.pad((counts + ALIGN - 1) // ALIGN, (1, 0)).cumsum(0)
        rows, columns = sorted_weight.nonzero(as_tuple=True)
        rank = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        places = starts[rows] * ALIGN + _place(rank, counts[rows])
        size = int(starts[-1]) * ALIGN
        values = weight.new_zeros(size)
        values[places] = sorted_weight[rows, columns]
        stored = torch.zeros(size, dtype=torch.int32)
        stored[places] = columns.to(torch.int32)
        if weight.shape[1] <= 1 << 16:
            stored = stored.to(torch.uint16).view(torch.int16)
        return Packed(
            self.name,
            tuple(weight.shape),
            (stored, values, starts.to(torch.int32), order.to(torch.int32)),
        )

    def unpack(self, packed: Packed) -> torch.Tensor:
        """See base class."""
        columns, values, starts, order = packed.parts
        rows = order.long().repeat_interleave(starts.diff().long() * ALIGN)
        wide = columns.long() & 0xFFFF if columns.dtype == torch.int16 else columns.long()
        is_weight = values != 0
        weight = values.new_zeros(packed.shape)
        weight[rows[is_weight], wide[is_weight]] = values[is_weight]
        return weight

    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """See base class."""
        is_long = packed.parts[1].numel() > 96 * packed.shape[0]
        gemv = [_gemv(*sizes) for sizes in GEMV[:: 1 if is_long else -1]]
        if batch == 1:
            return gemv
        group = min(16, 1 << (batch - 1).bit_length())
        tiles = SPMM[:: 1 if is_long else -1]
        spmm = [_spmm(*sizes, group) for sizes in tiles]
        spmm += [_spmm(*sizes, group // 2) for sizes in tiles[:2]]
        return [*spmm, *gemv[:2]] if batch <= 8 else spmm

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
        columns, values, starts, order = packed.parts
        rows, width = packed.shape
        batch = len(x)
        arguments: dict[str, Argument] = {
            "columns_ptr": columns, "values_ptr": values, "starts_ptr": starts,
            "order_ptr": order, "bias_ptr": bias, "y_ptr": y, "batch": batch, "rows": rows,
            "y_row": y.stride(0),
        }  # fmt: skip
        inputs: dict[str, Argument] = {"x_ptr": x, "x_row": x.stride(0), "x_column": x.stride(1)}
        constants = tiles | activation.constants
        programs = cdiv(rows, tiles["BLOCK_ROWS"])
        if "BLOCK_BATCH" not in tiles:
            grid: tuple[int, ...] = (batch * programs,)
            return [Launch(sell_gemv, grid, arguments | inputs, constants, warps, stages)]
        group = tiles["BLOCK_BATCH"]
        groups = x.new_empty(cdiv(batch, group), width, group)
        inputs |= {"groups_ptr": groups, "batch": batch, "columns": width}
        blocks = {"BLOCK_COLUMNS": BLOCK_COLUMNS, "BLOCK_BATCH": group}
        arguments |= {"groups_ptr": groups, "columns": width}
        grid = (len(groups) * programs,)
        return [
            Launch(grouped, (len(groups), cdiv(width, BLOCK_COLUMNS)), inputs, blocks),
            Launch(sell_spmm, grid, arguments, constants, warps, stages),
        ]


def _place(rank: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Where in its row's storage the weight of a rank lies: blocks of 8 lanes by 8, transposed.

    The last block of a row has only as many lanes as it needs.
    """
    block = rank // 64 * 64
    lanes = ((count - block + ALIGN - 1) // ALIGN).clamp(max=8)
    within = rank - block
    return block + within % lanes * ALIGN + within // lanes


def _gemv(rows: int, values: int, warps: int) -> Config:
    return {"BLOCK_ROWS": rows, "BLOCK_VALUES": values, "num_warps": warps, "num_stages": 1}


def _spmm(rows: int, lanes: int, unroll: int, warps: int, group: int) -> Config:
    return {
        "BLOCK_ROWS": rows, "LANES": lanes, "BLOCK_BATCH": group, "UNROLL": unroll,
        "num_warps": warps, "num_stages": 1,
    }  # fmt: skip


KERNELS.register(Sell.name)(Sell())
