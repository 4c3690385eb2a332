"""What kernels that pay per weight do alike: numbers made wide, inputs gathered."""

from __future__ import annotations

from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def widened(value):
    """In float32; for bfloat16 one shift, where a conversion would first isolate its half."""
    if value.dtype == tl.bfloat16:
        bits = value.to(tl.uint16, bitcast=True).to(tl.uint32) << 16
        return bits.to(tl.float32, bitcast=True)
    return value.to(tl.float32)


@jit
def grouped(
    x_ptr, groups_ptr, batch, columns, x_row, x_column,
    BLOCK_COLUMNS: constexpr, BLOCK_BATCH: constexpr,
):  # fmt: skip
    """Lays inputs out as (groups of samples, in, samples of a group): one read gathers a group."""
    group = tl.program_id(0)
    column = tl.program_id(1) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    sample = group * BLOCK_BATCH + tl.arange(0, BLOCK_BATCH)
    there = (column < columns)[:, None]
    x_ptr += sample[None, :].to(tl.int64) * x_row + column[:, None].to(tl.int64) * x_column
    x = tl.load(x_ptr, mask=there & (sample < batch)[None, :], other=0.0)
    groups_ptr += group.to(tl.int64) * columns * BLOCK_BATCH
    place = column[:, None] * BLOCK_BATCH + tl.arange(0, BLOCK_BATCH)[None, :]
    tl.store(groups_ptr + place, x, mask=there)
