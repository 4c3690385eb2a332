"""Layers of a fused network: sums over the weights that are left."""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.fused.access import finish, larger, read
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def gather(
    x_ptr, arena_ptr, y_ptr, places_ptr, values_ptr, rows_ptr, biases_ptr, first,
    ENDS: constexpr, S: constexpr, PROGRAMS: constexpr,
    SOURCE: constexpr, DOWN: constexpr, RIGHT: constexpr, WIDE: constexpr, POSITIONS: constexpr,
    HALVED: constexpr, KIND: constexpr, SLOPE: constexpr,
    START: constexpr, WIDTH: constexpr, ROW: constexpr, ROWS: constexpr,
    SHIFT: constexpr, BLOCK: constexpr, LANES: constexpr,
):  # fmt: skip
    """Rows of a layer's weight at all positions of its kernel, which steps DOWN and RIGHT.

    Outputs are counted along positions first, WIDE of them in a line; those of a HALVED layer are
    the largest of four neighbours.
    """
    UNROLL: constexpr = 8 if WIDTH >= 8 * LANES else max(1, WIDTH // LANES)
    LAST: constexpr = ROWS * POSITIONS - 1
    lane = tl.arange(0, BLOCK * LANES)  # one axis: compilers differ in how they lay out two
    for tile in range(first, LAST // BLOCK + 1, PROGRAMS):
        output = tl.minimum(tile * BLOCK + lane // LANES, LAST)
        position = output % POSITIONS
        corner = position // WIDE * (DOWN << HALVED) + position % WIDE * (RIGHT << HALVED)
        begin = START + output // POSITIONS * WIDTH + lane % LANES
        here = tl.zeros((BLOCK * LANES,), dtype=tl.float32)
        right, down, across = here, here, here
        for i in tl.range(0, WIDTH, LANES, loop_unroll_factor=UNROLL):
            value = tl.load(values_ptr + begin + i).to(tl.float32)
            place = tl.load(places_ptr + begin + i)
            if place.dtype == tl.int16:
                place = place.to(tl.uint16, bitcast=True).to(tl.int32)
            place += corner
            here += value * read(x_ptr, arena_ptr, place, SOURCE, 0)
            if HALVED:
                right += value * read(x_ptr, arena_ptr, place, SOURCE, RIGHT)
                down += value * read(x_ptr, arena_ptr, place, SOURCE, DOWN)
                across += value * read(x_ptr, arena_ptr, place, SOURCE, DOWN + RIGHT)
        output = tile * BLOCK + tl.arange(0, BLOCK)
        kept = output <= LAST
        row = tl.minimum(output, LAST) // POSITIONS
        bias = tl.load(biases_ptr + ROW + row)
        y = activated(_sums(here, BLOCK, LANES) + bias, KIND, SLOPE)
        if HALVED:
            y = larger(y, activated(_sums(right, BLOCK, LANES) + bias, KIND, SLOPE))
            y = larger(y, activated(_sums(down, BLOCK, LANES) + bias, KIND, SLOPE))
            y = larger(y, activated(_sums(across, BLOCK, LANES) + bias, KIND, SLOPE))
        index = tl.load(rows_ptr + ROW + row) * POSITIONS + output % POSITIONS
        finish(x_ptr, arena_ptr, y_ptr, y, index, kept, *ENDS[S])


@jit
def _sums(lanes, BLOCK: constexpr, LANES: constexpr):
    return tl.sum(tl.reshape(lanes, (BLOCK, LANES)), axis=1)
