"""``bitmask``: a bit for each weight, and those that are left; few bytes at any sparsity.

Every weight is decoded in registers before it is multiplied, so at best it ties with dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch

from pruneflow.deploy.kernels import block_tiles, splits
from pruneflow.deploy.kernels.base import (
    KERNELS,
    Activation,
    Config,
    Kernel,
    Packed,
    Window,
    split,
)
from pruneflow.deploy.kernels.block_product import nothing, place, plus, write
from pruneflow.deploy.kernels.blocks import tiled
from pruneflow.deploy.kernels.language import cdiv, constexpr, jit, tl
from pruneflow.deploy.kernels.launch import Launch

TALL, WIDE = 64, 128
"""Of a tile; larger ones spill registers."""
WORD = 64
"""Columns of a word of bits."""
ALIGN = 8
"""The values of a tile start at multiples of so many: 16 bytes of them."""


@jit
def ones(word):
    """How many bits of 64 are set; compiled to one instruction where there is one."""
    word = word - ((word >> 1) & 0x5555555555555555)
    word = (word & 0x3333333333333333) + ((word >> 2) & 0x3333333333333333)
    word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (word * 0x0101010101010101) >> 56


@jit
def weight_at(values_ptr, first, flags, before, BYTE: constexpr):
    """One of four weights; a byte of ``flags`` says if it is left, one of ``before`` its rank."""
    rank = first + ((before >> (BYTE * 8)) & 0xFF).to(tl.int32)
    return tl.load(values_ptr + rank, mask=(flags & (1 << (BYTE * 8))) != 0, other=0.0)


@jit
def eight_weights(values_ptr, first, byte):
    """(..., 8) weights of (...,) bytes, the lowest bit first, whose values start at ``first``."""
    low = ((byte & 15) * 0x00204081) & 0x01010101  # four bits, each into a byte of its own
    high = ((byte >> 4) * 0x00204081) & 0x01010101
    until = low * 0x01010101  # in each byte, how many bits are set up to its own
    before_low = until - low
    before_high = high * 0x01010101 - high + (until >> 24) * 0x01010101
    w0 = weight_at(values_ptr, first, low, before_low, 0)
    w1 = weight_at(values_ptr, first, low, before_low, 1)
    w2 = weight_at(values_ptr, first, low, before_low, 2)
    w3 = weight_at(values_ptr, first, low, before_low, 3)
    w4 = weight_at(values_ptr, first, high, before_high, 0)
    w5 = weight_at(values_ptr, first, high, before_high, 1)
    w6 = weight_at(values_ptr, first, high, before_high, 2)
    w7 = weight_at(values_ptr, first, high, before_high, 3)
    even = tl.join(tl.join(w0, w4), tl.join(w2, w6))
    odd = tl.join(tl.join(w1, w5), tl.join(w3, w7))
    return tl.join(even, odd)


@jit
def bitmask_linear(
    x_ptr, words_ptr, counts_ptr, starts_ptr, values_ptr, bias_ptr, y_ptr,
    batch, rows, inputs, across, x_row, x_column, y_row,
    TALL: constexpr, WIDE: constexpr, WHOLE: constexpr,
    BATCH: constexpr, SPLIT: constexpr, KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: a row of tiles, or a part of it, and a tile of samples.

    A lane decodes a byte: eight weights of a row. Words are read one tile ahead, so that nothing
    waits for them. No tile hangs over the right edge if ``WHOLE``.
    """
    sample, top = place(batch, rows, TALL, BATCH, 1)
    row = top + tl.arange(0, TALL)
    share = tl.cdiv(across, SPLIT)
    first = tl.program_id(1) * share
    last = tl.minimum(first + share, across)

    lane = tl.arange(0, WIDE // 8)[None, :]
    shift = (lane % 8 * 8).to(tl.uint64)
    below = (tl.full((1, 1), 1, tl.uint64) << shift) - 1
    tile = (top // TALL).to(tl.int64) * across + tl.minimum(first, across - 1)
    word = tile * (TALL * WIDE // 64) + tl.arange(0, TALL)[:, None] * (WIDE // 64) + lane // 8
    words_ptr += word
    counts_ptr += word
    starts_ptr += tile
    column = first * WIDE + tl.arange(0, WIDE)[None, :]
    x_ptr += sample.to(tl.int64)[:, None] * x_row + column.to(tl.int64) * x_column
    total = nothing(TALL, BATCH)

    bits, count, start = tl.load(words_ptr), tl.load(counts_ptr), tl.load(starts_ptr)
    for i in range(first, last):
        kept = (sample < batch)[:, None]
        if not WHOLE:
            kept = kept & (i * WIDE + tl.arange(0, WIDE)[None, :] < inputs)
        x = tl.load(x_ptr, mask=kept, other=0.0)
        x_ptr += tl.cast(x_column, tl.int64) * WIDE
        words = bits.to(tl.uint64, bitcast=True)
        rank = count.to(tl.int32) + ones(words & below).to(tl.int32)
        byte = (words >> shift).to(tl.uint32) & 0xFF
        tile_ptr = values_ptr + start.to(tl.int64) * 8
        step = tl.minimum(last - 1 - i, 1)
        words_ptr += step * (TALL * WIDE // 64)
        counts_ptr += step * (TALL * WIDE // 64)
        starts_ptr += step
        bits, count, start = tl.load(words_ptr), tl.load(counts_ptr), tl.load(starts_ptr)
        w = tl.reshape(eight_weights(tile_ptr, rank, byte), (TALL, WIDE))
        total = plus(total, w, x)
    write(total, y_ptr, bias_ptr, sample, row, batch, rows, y_row, SPLIT, KIND, SLOPE)


class Bitmask(Kernel):
    """Tiles row by row; in each, rows of words, a bit for each column, the lowest first."""

    name: ClassVar[str] = "bitmask"
    aim: ClassVar[Literal["speed", "size"]] = "size"

    def pack(self, weight: torch.Tensor) -> Packed:
        """See base class."""
        tiles = tiled(weight, (TALL, WIDE))
        mask = tiles != 0
        words = mask.unflatten(3, (-1, WORD))
        bits = (words.long() << torch.arange(WORD)).sum(-1)
        counts = words.sum(-1).flatten(2)
        before = (counts.cumsum(2) - counts).view_as(bits)
        sizes = counts.sum(2).flatten()
        room = (sizes + ALIGN - 1) // ALIGN
        starts = room.cumsum(0) - room
        values = weight.new_zeros(int(room.sum()) * ALIGN)
        values[_places(starts, sizes)] = tiles[mask]
        starts = starts.to(torch.int32)
        return Packed(
            self.name, tuple(weight.shape), (bits, before.to(torch.int16), starts, values)
        )

    def unpack(self, packed: Packed) -> torch.Tensor:
        """See base class."""
        bits, _, starts, values = packed.parts
        mask = (bits[..., None] >> torch.arange(WORD, device=bits.device) & 1).bool()
        mask = mask.flatten(3)
        tiles = values.new_zeros(mask.shape)
        tiles[mask] = values[_places(starts.long(), mask.sum((2, 3)).flatten())]
        down, across = mask.shape[:2]
        matrix = tiles.transpose(1, 2).reshape(down * TALL, across * WIDE)
        return matrix[: packed.shape[0], : packed.shape[1]].contiguous()

    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """See base class."""
        bits, *_, values = packed.parts
        down, across = bits.shape[:2]
        samples = 16 if batch <= 16 else 32 if batch <= 32 else 64
        single = values.dtype == torch.float32
        runs = [(8, 1)] if single else [(4, 2), (8, 2)] if samples == 16 else [(8, 2), (8, 1)]
        found = [
            {"BATCH": samples, "SPLIT": parts, "num_warps": warps, "num_stages": stages}
            for warps, stages in runs
            for parts in (1, 2, 4)
            if parts <= across
        ]
        tiles = down * cdiv(batch, samples)
        return block_tiles.busy_first(found, lambda config: tiles * config["SPLIT"])

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
        bits, counts, starts, values = packed.parts
        rows, inputs = packed.shape
        parts = splits.room(tiles["SPLIT"], y)
        arguments = {
            "x_ptr": x, "words_ptr": bits, "counts_ptr": counts, "starts_ptr": starts,
            "values_ptr": values, "bias_ptr": bias, "y_ptr": parts,
            "batch": len(x), "rows": rows, "inputs": inputs, "across": bits.shape[1],
            "x_row": x.stride(0), "x_column": x.stride(1), "y_row": y.stride(0),
        }  # fmt: skip
        constants = tiles | {"TALL": TALL, "WIDE": WIDE, "WHOLE": inputs % WIDE == 0}
        constants |= activation.constants
        grid = (cdiv(rows, TALL) * cdiv(len(x), tiles["BATCH"]), tiles["SPLIT"])
        product = Launch(bitmask_linear, grid, arguments, constants, warps, stages)
        return [product, *splits.sums(parts, bias, activation, y)]


def _places(starts: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
    """Where the values of all tiles are, one after the other."""
    within = torch.arange(int(sizes.sum()), device=sizes.device)
    return within + (starts * ALIGN - (sizes.cumsum(0) - sizes)).repeat_interleave(sizes)


KERNELS.register(Bitmask.name)(Bitmask())
