"""Pieces of a fused network that have no weights."""

from __future__ import annotations

from pruneflow.deploy.kernels.fused.access import finish, larger, placed, read_where
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def pool(
    x_ptr, arena_ptr, y_ptr, first, ENDS: constexpr, S: constexpr, PROGRAMS: constexpr,
    SOURCE: constexpr, CHANNELS: constexpr, HEIGHT: constexpr, WIDTH: constexpr,
    PLANE: constexpr, PITCH: constexpr, HIGH: constexpr, WIDE: constexpr,
    AVERAGE: constexpr, COUNTS_PADDING: constexpr,
    KERNEL_H: constexpr, KERNEL_W: constexpr, STRIDE_H: constexpr, STRIDE_W: constexpr,
    PADDING_H: constexpr, PADDING_W: constexpr, GAP_H: constexpr, GAP_W: constexpr,
    SHIFT: constexpr, BLOCK: constexpr, LANES: constexpr,
):  # fmt: skip
    """Windows of a max or average pool, HIGH by WIDE of them on every map."""
    for tile in range(first, (CHANNELS * HIGH * WIDE + BLOCK - 1) // BLOCK, PROGRAMS):
        index = tile * BLOCK + tl.arange(0, BLOCK)
        kept = index < CHANNELS * HIGH * WIDE
        top = index // WIDE % HIGH * STRIDE_H - PADDING_H
        left = index % WIDE * STRIDE_W - PADDING_W
        corner = index // (HIGH * WIDE) * PLANE + top * PITCH + left
        y = tl.full((BLOCK,), 0.0 if AVERAGE else -float("inf"), dtype=tl.float32)
        count = tl.zeros((BLOCK,), dtype=tl.float32)
        for i in range(0, KERNEL_H * KERNEL_W):
            line = top + i // KERNEL_W * GAP_H
            column = left + i % KERNEL_W * GAP_W
            inside = kept & (line >= 0) & (line < HEIGHT) & (column >= 0) & (column < WIDTH)
            place = corner + i // KERNEL_W * (GAP_H * PITCH) + i % KERNEL_W * GAP_W
            x = read_where(x_ptr, arena_ptr, place, inside, SOURCE)
            if AVERAGE:
                y += x
                if COUNTS_PADDING:
                    inside = (line < HEIGHT + PADDING_H) & (column < WIDTH + PADDING_W)
                count += inside.to(tl.float32)
            else:
                y = larger(y, tl.where(inside, x, -float("inf")))
        if AVERAGE:
            y = y / tl.maximum(count, 1.0)
        finish(x_ptr, arena_ptr, y_ptr, y, index, kept, *ENDS[S])


@jit
def mean(
    x_ptr, arena_ptr, y_ptr, first, ENDS: constexpr, S: constexpr, PROGRAMS: constexpr,
    SOURCE: constexpr, SIDE: constexpr, WIDTH: constexpr, PLANE: constexpr, PITCH: constexpr,
    CHANNELS: constexpr, SHIFT: constexpr, BLOCK: constexpr, LANES: constexpr,
):  # fmt: skip
    """The mean of every map, SIDE numbers in lines of WIDTH."""
    for tile in range(first, (CHANNELS + BLOCK - 1) // BLOCK, PROGRAMS):
        channel = tile * BLOCK + tl.arange(0, BLOCK)
        kept = channel < CHANNELS
        total = tl.zeros((BLOCK, LANES), dtype=tl.float32)
        for i in range(0, SIDE, LANES):
            pixel = i + tl.arange(0, LANES)
            place = channel[:, None] * PLANE + (pixel // WIDTH * PITCH + pixel % WIDTH)[None, :]
            inside = kept[:, None] & (pixel < SIDE)[None, :]
            total += read_where(x_ptr, arena_ptr, place, inside, SOURCE)
        y = tl.sum(total, axis=1) / SIDE
        finish(x_ptr, arena_ptr, y_ptr, y, channel, kept, *ENDS[S])


@jit
def copy(
    x_ptr, arena_ptr, y_ptr, first, ENDS: constexpr, S: constexpr, PROGRAMS: constexpr,
    SOURCE: constexpr, SIDE: constexpr, WIDTH: constexpr, PLANE: constexpr, PITCH: constexpr,
    COUNT: constexpr, SHIFT: constexpr, BLOCK: constexpr, LANES: constexpr,
):  # fmt: skip
    """COUNT numbers, one by one."""
    for tile in range(first, (COUNT + BLOCK - 1) // BLOCK, PROGRAMS):
        index = tile * BLOCK + tl.arange(0, BLOCK)
        kept = index < COUNT
        place = placed(index, SIDE, WIDTH, PLANE, PITCH)
        y = read_where(x_ptr, arena_ptr, place, kept, SOURCE)
        finish(x_ptr, arena_ptr, y_ptr, y, index, kept, *ENDS[S])


@jit
def border(
    arena_ptr, first, PROGRAMS: constexpr, TARGET: constexpr, CHANNELS: constexpr,
    HEIGHT: constexpr, WIDTH: constexpr, ABOVE: constexpr, BESIDE: constexpr,
    SHIFT: constexpr, BLOCK: constexpr, LANES: constexpr,
):  # fmt: skip
    """Zeros around maps of HEIGHT by WIDTH: first the lines ABOVE and below, then those BESIDE."""
    PITCH: constexpr = WIDTH + 2 * BESIDE
    LINES: constexpr = 2 * ABOVE * PITCH
    EACH: constexpr = LINES + 2 * BESIDE * HEIGHT
    for tile in range(first, (CHANNELS * EACH + BLOCK - 1) // BLOCK, PROGRAMS):
        index = tile * BLOCK + tl.arange(0, BLOCK)
        i = index % EACH
        place = tl.where(i < ABOVE * PITCH, i, i + HEIGHT * PITCH)
        if BESIDE > 0:
            k = i - LINES
            gap = tl.where(k % (2 * BESIDE) < BESIDE, 0, WIDTH)
            beside = (ABOVE + k // (2 * BESIDE)) * PITCH + k % (2 * BESIDE) + gap
            place = tl.where(i < LINES, place, beside)
        place += index // EACH * ((HEIGHT + 2 * ABOVE) * PITCH)
        tl.store(arena_ptr + TARGET + place, 0.0, mask=index < CHANNELS * EACH)
