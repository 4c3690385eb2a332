"""``sell`` times few samples: the lanes of a warp share the weights of a row."""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.gather import widened
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def sell_gemv(
    x_ptr, columns_ptr, values_ptr, starts_ptr, order_ptr, bias_ptr, y_ptr,
    batch, rows, x_row, x_column, y_row,
    BLOCK_ROWS: constexpr, BLOCK_VALUES: constexpr, KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: some rows, one sample; its neighbours read the same rows."""
    sample = (tl.program_id(0) % batch).to(tl.int64)
    first_slot = tl.program_id(0) // batch * BLOCK_ROWS
    lane = tl.arange(0, BLOCK_ROWS * BLOCK_VALUES)
    slot = first_slot + lane // BLOCK_VALUES
    start = tl.load(starts_ptr + slot, mask=slot < rows, other=0)
    count = (tl.load(starts_ptr + slot + 1, mask=slot < rows, other=0) - start) * 8
    place = start.to(tl.int64) * 8 + lane % BLOCK_VALUES
    place = tl.max_contiguous(tl.multiple_of(place, 8), 8)
    columns_ptr += place
    values_ptr += place
    x_ptr += sample * x_row
    left = count - lane % BLOCK_VALUES
    total = tl.zeros((BLOCK_ROWS * BLOCK_VALUES,), dtype=tl.float32)
    for i in range(0, tl.max(count), BLOCK_VALUES):
        kept = tl.max_constancy(left > i, 8)
        column = tl.load(columns_ptr, mask=kept, other=0)
        value = tl.load(values_ptr, mask=kept, other=0.0)
        if column.dtype == tl.int16:
            column = column.to(tl.uint16, bitcast=True)
        x = tl.load(x_ptr + column.to(tl.int64) * x_column)
        total += widened(value) * widened(x)
        columns_ptr += BLOCK_VALUES
        values_ptr += BLOCK_VALUES
    slot = first_slot + tl.arange(0, BLOCK_ROWS)
    there = slot < rows
    row = tl.load(order_ptr + slot, mask=there, other=0)
    y = tl.sum(tl.reshape(total, (BLOCK_ROWS, BLOCK_VALUES)), axis=1)
    if bias_ptr is not None:
        y += tl.load(bias_ptr + row, mask=there, other=0.0).to(tl.float32)
    y = activated(y, KIND, SLOPE)
    tl.store(y_ptr + sample * y_row + row, y.to(y_ptr.dtype.element_ty), mask=there)
