"""``nm`` times few samples: columns computed from indices, inputs gathered."""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.gather import widened
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def unpacked(words, GROUP: constexpr, WIDTH: constexpr):
    """The eight indices, below ``GROUP`` and ``WIDTH`` bits apart, of each word: (n,) to (8 n,)."""
    shifts = (tl.arange(0, 8) * WIDTH)[None, :]
    indices = (words[:, None] >> shifts.to(words.dtype)).to(tl.int32) & (GROUP - 1)
    return tl.reshape(indices, (words.shape[0] * 8,))


@jit
def group_of(place):
    """Which group of a row a place in its storage belongs to: blocks of 8 x 8, transposed."""
    return place // 64 * 64 + place % 8 * 8 + place // 8 % 8


@jit
def nm_gemv(
    x_ptr, indices_ptr, values_ptr, bias_ptr, y_ptr,
    batch, rows, groups, room, x_row, x_column, y_row,
    BLOCK_ROWS: constexpr, BLOCK_GROUPS: constexpr,
    KEPT: constexpr, GROUP: constexpr, WIDTH: constexpr, EVEN: constexpr,
    KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """One program: some rows, one sample; its neighbours read the same rows."""
    sample = (tl.program_id(0) % batch).to(tl.int64)
    first_row = tl.program_id(0) // batch * BLOCK_ROWS
    lane = tl.arange(0, BLOCK_ROWS * BLOCK_GROUPS)
    row = (first_row + lane // BLOCK_GROUPS).to(tl.int64)
    place = lane % BLOCK_GROUPS
    values_ptr += row * (KEPT * room) + place
    word = tl.arange(0, BLOCK_ROWS * BLOCK_GROUPS // 8)
    word_row = (first_row + word // (BLOCK_GROUPS // 8)).to(tl.int64)
    word_place = word % (BLOCK_GROUPS // 8)
    indices_ptr += word_row * (KEPT * room // 8) + word_place
    x_step = tl.cast(x_column, tl.int64) * GROUP
    x_ptr += sample * x_row + (place // 64 * 64 + place // 8 % 8).to(tl.int64) * x_step
    total = tl.zeros((BLOCK_ROWS * BLOCK_GROUPS,), dtype=tl.float32)
    for i in range(0, room, BLOCK_GROUPS):
        for n in tl.static_range(KEPT):
            if EVEN:
                words = tl.load(indices_ptr + n * (room // 8))
                value = tl.load(values_ptr + n * room)
            else:
                word_there = (word_row < rows) & (word_place * 8 < room - i)
                words = tl.load(indices_ptr + n * (room // 8), mask=word_there, other=0)
                there = tl.max_constancy((row < rows) & (place < room - i), 8)
                value = tl.load(values_ptr + n * room, mask=there, other=0.0)
            x_place = x_ptr + unpacked(words, GROUP, WIDTH).to(tl.int64) * x_column
            x_place += (place % 8 * 8).to(tl.int64) * x_step
            if EVEN:
                x = tl.load(x_place)
            else:
                x = tl.load(x_place, mask=i + group_of(place) < groups, other=0.0)
            total += widened(value) * widened(x)
        values_ptr += BLOCK_GROUPS
        indices_ptr += BLOCK_GROUPS // 8
        x_ptr += BLOCK_GROUPS * x_step
    y = tl.sum(tl.reshape(total, (BLOCK_ROWS, BLOCK_GROUPS)), axis=1)
    out = first_row + tl.arange(0, BLOCK_ROWS)
    if bias_ptr is not None:
        y += tl.load(bias_ptr + out, mask=out < rows, other=0.0).to(tl.float32)
    y = activated(y, KIND, SLOPE)
    tl.store(y_ptr + sample * y_row + out, y.to(y_ptr.dtype.element_ty), mask=out < rows)
