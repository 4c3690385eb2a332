"""``bsr``: blocks of 16, 32, 64 or 128 on tensor cores, for masks that prune whole blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from pruneflow.deploy.kernels import block_tiles, blocks, splits
from pruneflow.deploy.kernels.base import (
    KERNELS,
    Activation,
    Config,
    Kernel,
    Packed,
    Window,
    split,
)
from pruneflow.deploy.kernels.block_product import (
    ahead,
    nothing,
    place,
    plus,
    stored,
    tile,
    write,
)
from pruneflow.deploy.kernels.language import cdiv, constexpr, jit, tl
from pruneflow.deploy.kernels.launch import Launch


@jit
def bsr_linear(
    x_ptr, values_ptr, columns_ptr, starts_ptr, bias_ptr, y_ptr,
    batch, rows, inputs, x_row, x_column, y_row,
    TALL: constexpr, WIDE: constexpr, WHOLE: constexpr,
    OUT: constexpr, BATCH: constexpr, STEP: constexpr, SPLIT: constexpr, GROUP: constexpr,
    KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: as ``block_product``. No block hangs over the right edge if ``WHOLE``."""
    sample, top = place(batch, rows, OUT, BATCH, GROUP)
    row = top + tl.arange(0, OUT)
    first, last = stored(starts_ptr, top // TALL, STEP, SPLIT)
    lane = tl.arange(0, STEP * WIDE)[None, :]
    x_ptr += sample.to(tl.int64)[:, None] * x_row + (lane % WIDE).to(tl.int64) * x_column
    values_ptr = tile(values_ptr, first, row, TALL, WIDE, STEP)
    total = nothing(OUT, BATCH)
    column = ahead(columns_ptr, first, last, WIDE, STEP, False)
    for i in range(first, last, STEP):
        kept = (sample < batch)[:, None]
        if STEP == 1:
            w = tl.load(values_ptr + (i - first) * (TALL * WIDE))
        else:
            real = i + lane // WIDE < last
            kept = kept & real
            w = tl.load(values_ptr + (i - first) * (TALL * WIDE), mask=real, other=0.0)
        if not WHOLE:
            kept = kept & (column * WIDE + lane % WIDE < inputs)
        x = tl.load(x_ptr + column.to(tl.int64) * WIDE * x_column, mask=kept, other=0.0)
        column = ahead(columns_ptr, i + STEP, last, WIDE, STEP, False)
        total = plus(total, w, x)
    write(total, y_ptr, bias_ptr, sample, row, batch, rows, y_row, SPLIT, KIND, SLOPE)


class Bsr(Kernel):
    """Rows of blocks, each with the columns of its blocks in rising order."""

    name: ClassVar[str] = "bsr"

    def pack(self, weight: torch.Tensor) -> Packed:
        """See base class."""
        mask = weight != 0
        cut = blocks.cut(weight, blocks.best_sides(lambda sides: mask, weight.itemsize))
        return Packed(self.name, tuple(weight.shape), (cut.values, cut.columns, cut.starts))

    def unpack(self, packed: Packed) -> torch.Tensor:
        """See base class."""
        return blocks.joined(blocks.Blocks(*packed.parts), (packed.shape[0], packed.shape[1]))

    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """See base class."""
        values, _, starts = packed.parts
        return block_tiles.configs(values, len(starts) - 1, batch)

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
        values, columns, starts = packed.parts
        rows, inputs = packed.shape
        _, tall, wide = values.shape
        parts = splits.room(tiles["SPLIT"], y)
        arguments = {
            "x_ptr": x, "values_ptr": values, "columns_ptr": columns, "starts_ptr": starts,
            "bias_ptr": bias, "y_ptr": parts, "batch": len(x), "rows": rows, "inputs": inputs,
            "x_row": x.stride(0), "x_column": x.stride(1), "y_row": y.stride(0),
        }  # fmt: skip
        constants = tiles | {"TALL": tall, "WIDE": wide, "WHOLE": inputs % wide == 0}
        constants |= activation.constants
        programs = cdiv(rows, tiles["OUT"]) * cdiv(len(x), tiles["BATCH"])
        grid = (programs, tiles["SPLIT"])
        product = Launch(bsr_linear, grid, arguments, constants, warps, stages)
        return [product, *splits.sums(parts, bias, activation, y)]


KERNELS.register(Bsr.name)(Bsr())
