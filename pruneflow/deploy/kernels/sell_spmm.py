"""``sell`` times groups of samples: each lane has its own weights, and all samples of a group."""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.gather import widened
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def sell_spmm(
    groups_ptr, columns_ptr, values_ptr, starts_ptr, order_ptr, bias_ptr, y_ptr,
    batch, rows, columns, y_row,
    BLOCK_ROWS: constexpr, LANES: constexpr, BLOCK_BATCH: constexpr, UNROLL: constexpr,
    KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: some rows, one group of samples as ``gather.grouped`` laid it out.

    A lane reads its samples as one or two vectors, each with sums of its own: a layout in which
    no lane waits for another's columns.
    """
    VECTOR: constexpr = min(BLOCK_BATCH, 8)
    groups = tl.cdiv(batch, BLOCK_BATCH)
    group = (tl.program_id(0) % groups).to(tl.int64)
    first_slot = tl.program_id(0) // groups * BLOCK_ROWS
    lane = tl.arange(0, BLOCK_ROWS * LANES)
    slot = first_slot + lane // LANES
    start = tl.load(starts_ptr + slot, mask=slot < rows, other=0)
    count = (tl.load(starts_ptr + slot + 1, mask=slot < rows, other=0) - start) * 8
    place = start.to(tl.int64) * 8 + lane % LANES
    columns_ptr += place
    values_ptr += place
    groups_ptr += group * columns * BLOCK_BATCH
    vector = tl.arange(0, VECTOR)[None, :]
    low = tl.zeros((BLOCK_ROWS * LANES, VECTOR), dtype=tl.float32)
    high = low
    left = count - lane % LANES
    for _ in range(0, tl.max(count), LANES * UNROLL):
        for j in tl.static_range(UNROLL):
            kept = left > j * LANES
            column = tl.load(columns_ptr + j * LANES, mask=kept, other=0)
            value = tl.load(values_ptr + j * LANES, mask=kept, other=0.0)
            value = widened(value)[:, None]
            if column.dtype == tl.int16:
                column = column.to(tl.uint16, bitcast=True)
            x_ptr = groups_ptr + column.to(tl.int64)[:, None] * BLOCK_BATCH + vector
            low += value * widened(tl.load(x_ptr))
            if BLOCK_BATCH > VECTOR:
                high += value * widened(tl.load(x_ptr + VECTOR))
        columns_ptr += LANES * UNROLL
        values_ptr += LANES * UNROLL
        left -= LANES * UNROLL
    slot = first_slot + tl.arange(0, BLOCK_ROWS)
    row = tl.load(order_ptr + slot, mask=slot < rows, other=0)
    for half in tl.static_range(BLOCK_BATCH // VECTOR):
        total = low if half == 0 else high
        y = tl.sum(tl.reshape(total, (BLOCK_ROWS, LANES, VECTOR)), axis=1)
        if bias_ptr is not None:
            y += tl.load(bias_ptr + row, mask=slot < rows, other=0.0).to(tl.float32)[:, None]
        y = activated(y, KIND, SLOPE).to(y_ptr.dtype.element_ty)
        sample = group * BLOCK_BATCH + half * VECTOR + vector
        there = (slot < rows)[:, None] & (sample < batch)
        tl.store(y_ptr + sample * y_row + row[:, None], y, mask=there)
