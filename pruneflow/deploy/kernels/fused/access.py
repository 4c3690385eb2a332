"""Where the pieces of a fused network read and write: see ``places.OUTSIDE`` and ``NOTHING``."""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def read(x_ptr, arena_ptr, index, SOURCE: constexpr, MORE: constexpr):
    """Numbers from the network's input or the arena, MORE behind their places."""
    ptr = arena_ptr + index + (SOURCE + MORE)
    if SOURCE < 0:
        ptr = x_ptr + index + MORE
    return tl.load(ptr).to(tl.float32)


@jit
def read_where(x_ptr, arena_ptr, index, kept, SOURCE: constexpr):
    """The same, zeros where they are not kept."""
    ptr = arena_ptr + index + SOURCE
    if SOURCE < 0:
        ptr = x_ptr + index
    return tl.load(ptr, mask=kept, other=0.0).to(tl.float32)


@jit
def placed(index, SIDE: constexpr, WIDTH: constexpr, PLANE: constexpr, PITCH: constexpr):
    """Where numbers lie on maps of SIDE numbers, in lines of WIDTH that begin PITCH apart."""
    at = index
    if PLANE != SIDE or PITCH != WIDTH:
        at = index // SIDE * PLANE + index % SIDE // WIDTH * PITCH + index % WIDTH
    return at


@jit
def larger(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@jit
def finish(
    x_ptr, arena_ptr, y_ptr, value, index, kept, KIND: constexpr, SLOPE: constexpr,
    OTHER: constexpr, O_SIDE: constexpr, O_WIDTH: constexpr, O_PLANE: constexpr, O_PITCH: constexpr,
    LAST_KIND: constexpr, LAST_SLOPE: constexpr,
    TARGET: constexpr, SIDE: constexpr, WIDTH: constexpr, PLANE: constexpr, PITCH: constexpr,
):  # fmt: skip
    """Store results by their number, after what is left to be done to them."""
    value = activated(value, KIND, SLOPE)
    if OTHER > -2:
        place = placed(index, O_SIDE, O_WIDTH, O_PLANE, O_PITCH)
        value += read_where(x_ptr, arena_ptr, place, kept, OTHER)
    value = activated(value, LAST_KIND, LAST_SLOPE)
    place = placed(index, SIDE, WIDTH, PLANE, PITCH)
    if TARGET < 0:
        tl.store(y_ptr + place, value.to(y_ptr.dtype.element_ty), mask=kept)
    else:
        tl.store(arena_ptr + TARGET + place, value, mask=kept)
