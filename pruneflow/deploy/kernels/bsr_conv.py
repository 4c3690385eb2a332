"""``bsr_conv``: convolutions as products with blocks, none of whose inputs are copied first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch.nn import functional as F

from pruneflow.deploy.kernels import block_tiles, blocks, splits
from pruneflow.deploy.kernels.base import (
    KERNELS,
    Activation,
    Config,
    Kernel,
    Packed,
    Shape,
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

MANY = 16
"""With fewer channels a block spans several taps."""


@jit
def bsr_conv2d(
    x_ptr, values_ptr, taps_ptr, starts_ptr, bias_ptr, y_ptr,
    batch, rows, channels, height, width, out_height, out_width,
    down, right, above, before, dilation_down, dilation_right,
    x_sample, x_channel, x_down, x_right, y_row,
    TALL: constexpr, WIDE: constexpr, WHOLE: constexpr, FEW: constexpr,
    OUT: constexpr, BATCH: constexpr, STEP: constexpr, SPLIT: constexpr, GROUP: constexpr,
    KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: as ``block_product``, the samples being positions of outputs.

    A tap holds its row, its column and its channel in 7, 8 and 16 bits: of each column of a block
    if there are ``FEW`` channels (below 0: of none), else of a whole block, whose channel counts
    in blocks. No block hangs over the last channel if ``WHOLE``.
    """
    sample, first_row = place(batch, rows, OUT, BATCH, GROUP)
    row = first_row + tl.arange(0, OUT)
    first, last = stored(starts_ptr, first_row // TALL, STEP, SPLIT)
    lane = tl.arange(0, STEP * WIDE)[None, :]

    image = sample // (out_height * out_width)
    top = sample // out_width % out_height * down - above
    top = tl.where(sample < batch, top, -(1 << 30))[:, None]  # above every input
    left = (sample % out_width * right - before)[:, None]
    x_ptr += image.to(tl.int64)[:, None] * x_sample
    x_ptr += top.to(tl.int64) * x_down + left.to(tl.int64) * x_right
    if not FEW:
        x_ptr += (lane % WIDE).to(tl.int64) * x_channel

    values_ptr = tile(values_ptr, first, row, TALL, WIDE, STEP)
    total = nothing(OUT, BATCH)
    tap = ahead(taps_ptr, first, last, WIDE, STEP, FEW)
    for i in range(first, last, STEP):
        y_off = (tap >> 24) * dilation_down
        x_off = (tap >> 16 & 0xFF) * dilation_right
        channel = tap & 0xFFFF
        kept = (top + y_off).to(tl.uint32, bitcast=True) < height  # negative ones are large
        kept = kept & ((left + x_off).to(tl.uint32, bitcast=True) < width)
        if STEP == 1:
            w = tl.load(values_ptr + (i - first) * (TALL * WIDE))
        else:
            real = i + lane // WIDE < last
            kept = kept & real
            w = tl.load(values_ptr + (i - first) * (TALL * WIDE), mask=real, other=0.0)
        if FEW:
            kept = kept & (tap >= 0)
        else:
            channel *= WIDE
            if not WHOLE:
                kept = kept & (channel + lane % WIDE < channels)
        off = y_off.to(tl.int64) * x_down + x_off.to(tl.int64) * x_right
        x = tl.load(x_ptr + off + channel.to(tl.int64) * x_channel, mask=kept, other=0.0)
        tap = ahead(taps_ptr, i + STEP, last, WIDE, STEP, FEW)
        total = plus(total, w, x)
    write(total, y_ptr, bias_ptr, sample, row, batch, rows, y_row, SPLIT, KIND, SLOPE)


class BsrConv(Kernel):
    """Rows of blocks of a matrix (out, taps * channels).

    Channels are filled up to whole blocks within each tap, unless there are few.
    """

    name: ClassVar[str] = "bsr_conv"
    op: ClassVar[Literal["linear", "conv2d"]] = "conv2d"

    def refuses(self, weight: torch.Tensor) -> str | None:
        """See base class."""
        if max(weight.shape[2:]) > 127:
            return "a kernel of more than 127 rows or columns"
        return None if weight.shape[1] <= 1 << 20 else "more than 1048576 channels"

    def pack(self, weight: torch.Tensor) -> Packed:
        """See base class."""
        mask = weight != 0
        sides = blocks.best_sides(lambda sides: _matrix(mask, sides[1]), weight.itemsize)
        cut = blocks.cut(_matrix(weight, sides[1]), sides)
        taps = _taps(tuple(weight.shape), sides[1])[cut.columns.long()]
        return Packed(self.name, tuple(weight.shape), (cut.values, taps, cut.starts))

    def unpack(self, packed: Packed) -> torch.Tensor:
        """See base class."""
        values, taps, starts = packed.parts
        out, channels, *kernel = packed.shape
        wide = values.shape[2]
        first = taps[:, 0] if channels < MANY else taps
        number = (first >> 24) * kernel[1] + (first >> 16 & 0xFF)
        if channels < MANY:
            depth, columns = channels, (number * channels + (first & 0xFFFF)) // wide
        else:
            across = cdiv(channels, wide)
            depth, columns = across * wide, number * across + (first & 0xFFFF)
        shape = (out, kernel[0] * kernel[1] * depth)
        matrix = blocks.joined(blocks.Blocks(values, columns, starts), shape)
        weight = matrix.view(out, *kernel, depth)[..., :channels]
        # torch's convolution crashes at other strides of one channel, which count as contiguous
        return weight.movedim(-1, 1).clone(memory_format=torch.contiguous_format)

    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """See base class."""
        values, _, starts = packed.parts
        table = block_tiles.GATHERED if packed.shape[1] < MANY else None
        return block_tiles.configs(values, len(starts) - 1, batch, table)

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
        values, taps, starts = packed.parts
        rows, channels = packed.shape[:2]
        _, tall, wide = values.shape
        positions = y.movedim(1, -1).view(-1, rows)
        parts = splits.room(tiles["SPLIT"], positions)
        arguments = {
            "x_ptr": x, "values_ptr": values, "taps_ptr": taps, "starts_ptr": starts,
            "bias_ptr": bias, "y_ptr": parts, "batch": len(positions), "rows": rows,
            "channels": channels, "height": x.shape[2], "width": x.shape[3],
            "out_height": y.shape[2], "out_width": y.shape[3],
            "down": window.stride[0], "right": window.stride[1],
            "above": window.padding[0], "before": window.padding[1],
            "dilation_down": window.dilation[0], "dilation_right": window.dilation[1],
            "x_sample": x.stride(0), "x_channel": x.stride(1),
            "x_down": x.stride(2), "x_right": x.stride(3), "y_row": rows,
        }  # fmt: skip
        constants = tiles | {"TALL": tall, "WIDE": wide, "WHOLE": channels % wide == 0}
        constants |= {"FEW": channels < MANY} | activation.constants
        programs = cdiv(rows, tiles["OUT"]) * cdiv(len(positions), tiles["BATCH"])
        grid = (programs, tiles["SPLIT"])
        product = Launch(bsr_conv2d, grid, arguments, constants, warps, stages)
        return [product, *splits.sums(parts, bias, activation, positions)]


def _matrix(weight: torch.Tensor, wide: int) -> torch.Tensor:
    """(out, taps * channels), the channels filled up to whole blocks unless there are few."""
    weight = weight.movedim(1, -1)
    if weight.shape[-1] >= MANY:
        weight = F.pad(weight, (0, -weight.shape[-1] % wide))
    return weight.reshape(len(weight), -1)


def _taps(shape: Shape, wide: int) -> torch.Tensor:
    """Of each column of blocks; or, if channels are few, of each column in it."""
    _, channels, *kernel = shape
    step = channels if channels < MANY else cdiv(channels, wide)
    down, right, channel = torch.meshgrid(
        *(torch.arange(side, dtype=torch.int32) for side in (*kernel, step)), indexing="ij"
    )
    taps = (down << 24 | right << 16 | channel).flatten()
    if channels >= MANY:
        return taps
    return F.pad(taps, (0, -len(taps) % wide), value=-1).view(-1, wide)


KERNELS.register(BsrConv.name)(BsrConv())
