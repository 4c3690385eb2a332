"""``nm`` on tensor cores: weights made dense in registers, a tile at a time."""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated, multiplied
from pruneflow.deploy.kernels.language import constexpr, jit, tl
from pruneflow.deploy.kernels.nm_gemv import group_of, unpacked


@jit
def spread(value, index, GROUP: constexpr):
    """Pairs of numbers side by side, as bits, one of all being a value and the rest zeros.

    Args:
        value: (n,), of 16 or 32 bits.
        index: (n,), its place among ``GROUP`` numbers.

    Returns:
        (n, 2, .., 2), an axis for each bit of the index but the lowest, which chose the half.
    """
    SIZE: constexpr = value.dtype.primitive_bitwidth
    if SIZE == 16:
        pair = value.to(tl.uint16, bitcast=True).to(tl.uint32)
    else:
        pair = value.to(tl.uint32, bitcast=True).to(tl.uint64)
    pair = pair << ((index & 1) * SIZE).to(pair.dtype)
    for bit in tl.static_range(4, 0, -1):
        if 1 << bit < GROUP:
            is_upper = (index & (1 << bit)) != 0
            pair = tl.join(tl.where(is_upper, 0, pair), tl.where(is_upper, pair, 0))
            index = tl.join(index, index)
    return pair


@jit
def halves(pair, dtype: constexpr):
    """(...) to (..., 2): both numbers of pairs."""
    SIZE: constexpr = dtype.primitive_bitwidth
    half: constexpr = tl.uint16 if SIZE == 16 else tl.uint32
    both = tl.join(pair.to(half), (pair >> SIZE).to(half))
    return both.to(dtype, bitcast=True)


@jit
def loaded(indices_ptr, values_ptr, is_word, is_value, GROUP: constexpr, WIDTH: constexpr):
    """One value of each group, as ``spread`` gives it."""
    words = tl.load(indices_ptr, mask=is_word, other=0)
    value = tl.load(values_ptr, mask=is_value, other=0.0)
    return spread(value, unpacked(words, GROUP, WIDTH), GROUP)


@jit
def nm_product(
    x_ptr, indices_ptr, values_ptr, bias_ptr, y_ptr,
    batch, rows, columns, room, x_row, x_column, y_row,
    BLOCK_ROWS: constexpr, BLOCK_GROUPS: constexpr, BLOCK_BATCH: constexpr, SPLIT: constexpr,
    KEPT: constexpr, GROUP: constexpr, WIDTH: constexpr, KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: some rows, some samples, a part of the groups, in the order of their storage.

    Parts of sums go to (SPLIT, batch, out).
    """
    VALUES: constexpr = BLOCK_ROWS * BLOCK_GROUPS
    blocks = tl.cdiv(batch, BLOCK_BATCH)
    first_row = tl.program_id(0) // blocks * BLOCK_ROWS
    row = first_row + tl.arange(0, BLOCK_ROWS)
    sample = tl.program_id(0) % blocks * BLOCK_BATCH + tl.arange(0, BLOCK_BATCH)
    is_sample = (sample < batch)[None, :]
    place = tl.arange(0, VALUES)
    value_row = first_row + place // BLOCK_GROUPS
    is_value = tl.max_constancy(value_row < rows, 8)
    values_ptr += value_row.to(tl.int64) * (KEPT * room) + place % BLOCK_GROUPS
    word = tl.arange(0, VALUES // 8)
    word_row = first_row + word // (BLOCK_GROUPS // 8)
    is_word = word_row < rows
    indices_ptr += word_row.to(tl.int64) * (KEPT * room // 8) + word % (BLOCK_GROUPS // 8)
    k = tl.arange(0, BLOCK_GROUPS * GROUP)
    part = tl.program_id(1)
    span = tl.cdiv(room, BLOCK_GROUPS * SPLIT) * BLOCK_GROUPS
    begin = part * span
    end = tl.minimum(room, begin + span)
    values_ptr += begin
    indices_ptr += begin // 8
    x_ptr += sample.to(tl.int64)[None, :] * x_row
    total = tl.zeros((BLOCK_ROWS, BLOCK_BATCH), dtype=tl.float32)
    for i in range(begin, end, BLOCK_GROUPS):
        pairs = loaded(indices_ptr, values_ptr, is_word, is_value, GROUP, WIDTH)
        for n in tl.static_range(1, KEPT):
            step = n * room
            pairs |= loaded(
                indices_ptr + step // 8, values_ptr + step, is_word, is_value, GROUP, WIDTH
            )
        weight = halves(pairs, values_ptr.dtype.element_ty)
        weight = tl.reshape(weight, (BLOCK_ROWS, BLOCK_GROUPS * GROUP))
        column = (group_of(i + k // GROUP) * GROUP + k % GROUP)[:, None]
        x_place = x_ptr + column.to(tl.int64) * x_column
        x = tl.load(x_place, mask=(column < columns) & is_sample, other=0.0)
        total = multiplied(weight, x, total)
        values_ptr += BLOCK_GROUPS
        indices_ptr += BLOCK_GROUPS // 8
    if bias_ptr is not None:
        total += tl.load(bias_ptr + row, mask=row < rows, other=0.0).to(tl.float32)[:, None]
    y = activated(total, KIND, SLOPE).to(y_ptr.dtype.element_ty)
    y_ptr += part.to(tl.int64) * batch * rows
    y_ptr += sample.to(tl.int64)[None, :] * y_row + row[:, None]
    tl.store(y_ptr, y, mask=(row < rows)[:, None] & is_sample)
