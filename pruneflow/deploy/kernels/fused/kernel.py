"""A whole network in one launch.

What ``tiles.program`` says is known when the kernel is compiled: pieces of work, one of five kinds.
The programs along the first axis of the grid share the tiles of every piece of one sample, which
the second axis counts; where a piece reads what another wrote, they wait for each other.
"""

from __future__ import annotations

from pruneflow.deploy.kernels.fused.gather import gather
from pruneflow.deploy.kernels.fused.passes import border, copy, mean, pool
from pruneflow.deploy.kernels.language import INTERPRETED, constexpr, jit, tl


@jit
def fused_network(
    x_ptr, places_ptr, values_ptr, rows_ptr, biases_ptr, arena_ptr, y_ptr, barriers_ptr, x_sample,
    KINDS: constexpr, NUMBERS: constexpr, ENDS: constexpr, TILES: constexpr,
    FIRST: constexpr, LAST: constexpr, PROGRAMS: constexpr,
    INPUT: constexpr, ARENA: constexpr, OUTPUT: constexpr, WEIGHTS: constexpr, ROWS: constexpr,
):  # fmt: skip
    """Run pieces FIRST to LAST for one sample, together with the other PROGRAMS - 1 of it."""
    sample = tl.program_id(1).to(tl.int64)
    x_ptr += sample * x_sample
    arena_ptr += sample * ARENA
    y_ptr += sample * OUTPUT
    if FIRST == 0 and not INTERPRETED:
        _prefetch(x_ptr, INPUT, PROGRAMS)
        _prefetch(places_ptr, WEIGHTS, PROGRAMS)
        _prefetch(values_ptr, WEIGHTS, PROGRAMS)
        _prefetch(rows_ptr, ROWS, PROGRAMS)
        _prefetch(biases_ptr, ROWS, PROGRAMS)
    for s in tl.static_range(FIRST, LAST):
        if KINDS[s][1] and s > FIRST:
            _wait_for_all(barriers_ptr, PROGRAMS)
        first = (tl.program_id(0) + TILES[s][0]) % PROGRAMS
        # by the number in plan.KINDS
        if KINDS[s][0] == 0:
            gather(
                x_ptr, arena_ptr, y_ptr, places_ptr, values_ptr, rows_ptr, biases_ptr,
                first, ENDS, s, PROGRAMS, *NUMBERS[s], *TILES[s],
            )  # fmt: skip
        elif KINDS[s][0] == 1:
            pool(x_ptr, arena_ptr, y_ptr, first, ENDS, s, PROGRAMS, *NUMBERS[s], *TILES[s])
        elif KINDS[s][0] == 2:
            mean(x_ptr, arena_ptr, y_ptr, first, ENDS, s, PROGRAMS, *NUMBERS[s], *TILES[s])
        elif KINDS[s][0] == 3:
            copy(x_ptr, arena_ptr, y_ptr, first, ENDS, s, PROGRAMS, *NUMBERS[s], *TILES[s])
        else:
            border(arena_ptr, first, PROGRAMS, *NUMBERS[s], *TILES[s])


@jit
def _wait_for_all(barriers_ptr, PROGRAMS: constexpr):
    """Go on when all programs of the sample have come here and see what the others wrote.

    The first one adds 2^31 less what the others add, who add one each: when all have come, the top
    bit of the counter has flipped and the rest is as before, so that it never has to be cleared
    (the grid barrier of CUDA's cooperative groups).
    """
    tl.debug_barrier()
    if PROGRAMS > 1:
        barrier_ptr = barriers_ptr + tl.program_id(1)
        step = tl.where(tl.program_id(0) == 0, 0x7FFFFFFF - (PROGRAMS - 2), 1)
        before = tl.atomic_add(barrier_ptr, step, sem="acq_rel", scope="gpu")
        now = before
        while (now ^ before) >= 0:
            now = tl.atomic_add(barrier_ptr, 0, sem="acquire", scope="gpu")
        tl.debug_barrier()


@jit
def _prefetch(ptr, COUNT: constexpr, PROGRAMS: constexpr):
    """Have COUNT numbers brought into the L2 cache, while others are still waited for."""
    LINE: constexpr = 1024 // ptr.dtype.element_ty.primitive_bitwidth
    for tile in range(tl.program_id(0), (COUNT + 256 * LINE - 1) // (256 * LINE), PROGRAMS):
        number = tl.minimum((tile * 256 + tl.arange(0, 256)) * LINE, COUNT - 1)
        tl.inline_asm_elementwise(
            "prefetch.global.L2 [$1]; mov.u32 $0, 0;",
            "=r,l",
            [ptr + number],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )
