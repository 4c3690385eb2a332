"""What products with stored blocks do alike.

Blocks are ``TALL`` by ``WIDE``. A program sums ``OUT`` rows of a row of blocks for a tile of
``BATCH`` samples, ``STEP`` blocks at a time, lane by lane along their columns.
"""

from __future__ import annotations

from pruneflow.deploy.kernels.epilogue import activated, multiplied
from pruneflow.deploy.kernels.language import constexpr, jit, tl


@jit
def place(batch, rows, OUT: constexpr, BATCH: constexpr, GROUP: constexpr):
    """Samples and rows of a program; those that run together share ``GROUP`` tiles of samples."""
    bands = tl.cdiv(rows, OUT)
    group = tl.program_id(0) // (GROUP * bands) * GROUP
    width = tl.minimum(tl.cdiv(batch, BATCH) - group, GROUP)
    within = tl.program_id(0) % (GROUP * bands)
    sample = (group + within % width) * BATCH + tl.arange(0, BATCH)
    return sample, within // width * OUT


@jit
def stored(starts_ptr, block_row, STEP: constexpr, SPLIT: constexpr):
    """The first and behind the last block of a row, or of one of its ``SPLIT`` parts."""
    first = tl.load(starts_ptr + block_row)
    last = tl.load(starts_ptr + block_row + 1)
    if SPLIT > 1:
        share = tl.cdiv(last - first, SPLIT * STEP) * STEP
        first += tl.program_id(1) * share
        last = tl.minimum(first + share, last)
    return first, last


@jit
def ahead(places_ptr, first, last, WIDE: constexpr, STEP: constexpr, BY_LANE: constexpr):
    """Where the next blocks are, or each of their columns if ``BY_LANE``.

    It is read one step ahead: loads that wait for loads would not be pipelined.
    """
    lane = tl.arange(0, STEP * WIDE)
    if BY_LANE:
        there = first + lane // WIDE < last
        return tl.load(places_ptr + first * WIDE + lane, mask=there, other=0)[None, :]
    elif STEP > 1:
        block = first + lane // WIDE
        return tl.load(places_ptr + block, mask=block < last, other=0)[None, :]
    else:
        return tl.load(places_ptr + first, mask=first < last, other=0)


@jit
def tile(values_ptr, first, row, TALL: constexpr, WIDE: constexpr, STEP: constexpr):
    """Pointers to rows of blocks from the first on: (OUT, STEP * WIDE)."""
    lane = tl.arange(0, STEP * WIDE)[None, :]
    values_ptr += first.to(tl.int64) * (TALL * WIDE)
    return values_ptr + (row % TALL)[:, None] * WIDE + lane // WIDE * (TALL * WIDE) + lane % WIDE


@jit
def nothing(OUT: constexpr, BATCH: constexpr):
    """A sum to start with; samples come first where that fits Hopper's tensor cores better."""
    if BATCH >= 64 and OUT < 64:
        return tl.zeros((BATCH, OUT), dtype=tl.float32)
    else:
        return tl.zeros((OUT, BATCH), dtype=tl.float32)


@jit
def plus(total, w, x):
    """The sum and a product of (OUT, depth) weights and (BATCH, depth) inputs."""
    if x.shape[0] >= 64 and w.shape[0] < 64:
        return multiplied(x, tl.trans(w), total)
    else:
        return multiplied(w, tl.trans(x), total)


@jit
def write(
    total, y_ptr, bias_ptr, sample, row, batch, rows, y_row,
    SPLIT: constexpr, KIND: constexpr, SLOPE: constexpr,
):  # fmt: skip
    """Outputs (n, out), or this program's part of them, (split, n, out)."""
    if not (sample.shape[0] >= 64 and row.shape[0] < 64):
        total = tl.trans(total)
    if SPLIT > 1:
        y_ptr += tl.program_id(1).to(tl.int64) * batch * rows
    else:
        if bias_ptr is not None:
            total += tl.load(bias_ptr + row, mask=row < rows, other=0.0).to(tl.float32)[None, :]
        total = activated(total, KIND, SLOPE)
    y_ptr += sample.to(tl.int64)[:, None] * y_row + row[None, :]
    there = (sample < batch)[:, None] & (row < rows)[None, :]
    tl.store(y_ptr, total.to(y_ptr.dtype.element_ty), mask=there)
