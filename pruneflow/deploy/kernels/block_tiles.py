"""Which tiles of a product with blocks are worth measuring.

Guesses for an H100 and an A100; nothing here was measured yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from pruneflow.deploy.kernels.base import Config
from pruneflow.deploy.kernels.language import cdiv

Row = tuple[int, int, int, int, int, int, int]
"""Rows of the weight, columns, samples; splits, tiles of samples in a group; warps, stages."""

Table = dict[int, tuple[Row, ...]]
"""By the largest batch, the best guess first."""

HALF: Table = {
    16: (
        (64, 64, 16, 1, 1, 4, 4),
        (32, 64, 16, 1, 1, 2, 5),
        (16, 64, 16, 1, 1, 1, 5),
        (64, 128, 16, 1, 1, 4, 3),
        (32, 128, 16, 1, 1, 2, 4),
        (16, 128, 16, 1, 1, 1, 4),
        (64, 64, 16, 4, 1, 4, 4),
        (16, 64, 16, 4, 1, 1, 5),
    ),
    32: (
        (64, 64, 32, 1, 1, 4, 4),
        (32, 64, 32, 1, 1, 2, 4),
        (16, 64, 32, 1, 1, 1, 4),
        (64, 128, 32, 1, 1, 4, 3),
        (32, 128, 32, 1, 1, 2, 3),
        (64, 64, 32, 4, 1, 4, 4),
        (16, 64, 32, 4, 1, 1, 4),
    ),
    64: (
        (64, 64, 64, 1, 1, 4, 4),
        (32, 64, 64, 1, 1, 4, 4),
        (64, 64, 32, 1, 2, 4, 4),
        (64, 128, 64, 1, 1, 4, 3),
        (64, 64, 64, 2, 1, 4, 4),
        (64, 64, 64, 4, 1, 4, 4),
    ),
    256: (
        (64, 64, 128, 1, 2, 4, 4),
        (128, 64, 64, 1, 4, 4, 4),
        (64, 64, 64, 1, 4, 4, 4),
        (128, 64, 128, 1, 2, 8, 4),
        (64, 64, 256, 1, 1, 8, 3),
        (64, 64, 128, 2, 2, 4, 4),
        (64, 64, 64, 2, 4, 4, 4),
    ),
    1 << 31: (
        (128, 64, 128, 1, 1, 8, 4),
        (64, 64, 256, 1, 1, 8, 3),
        (64, 64, 128, 1, 1, 4, 3),
        (128, 64, 128, 1, 4, 8, 4),
        (64, 64, 128, 1, 4, 4, 3),
        (64, 64, 256, 1, 2, 8, 3),
        (64, 64, 64, 1, 8, 4, 4),
    ),
}
"""For 16-bit values."""

SINGLE: Table = {
    16: (
        (64, 64, 16, 1, 1, 4, 3),
        (32, 64, 16, 1, 1, 4, 3),
        (16, 64, 16, 1, 1, 2, 3),
        (32, 32, 16, 1, 1, 2, 4),
        (16, 64, 16, 4, 1, 2, 3),
    ),
    64: (
        (64, 32, 32, 1, 2, 4, 3),
        (32, 32, 32, 1, 2, 4, 3),
        (16, 32, 32, 1, 2, 2, 3),
        (64, 32, 64, 1, 1, 8, 2),
        (32, 32, 32, 4, 2, 4, 3),
    ),
    1 << 31: (
        (64, 32, 128, 1, 1, 8, 2),
        (64, 32, 64, 1, 1, 8, 2),
        (32, 32, 64, 1, 1, 4, 2),
        (64, 32, 64, 1, 4, 8, 2),
    ),
}
"""For float32, which is multiplied outside of the tensor cores."""

GATHERED: Table = {
    1 << 31: (
        (32, 32, 64, 1, 1, 4, 2),
        (16, 16, 64, 1, 1, 4, 2),
        (64, 32, 64, 1, 1, 8, 2),
        (32, 32, 32, 1, 1, 4, 2),
    ),
}
"""For inputs that are read one by one, which takes registers."""

PROGRAMS = 132
"""One for each multiprocessor of an H100."""


def configs(
    values: torch.Tensor, block_rows: int, batch: int, table: Table | None = None
) -> Sequence[Config]:
    """Those that fit the blocks, as ``busy_first`` orders them.

    Args:
        values: Of ``blocks.Blocks``.
        block_rows: Rows of blocks.
        batch: Rows of inputs.
        table: The one for the values' dtype, if none is given.
    """
    count, tall, wide = values.shape
    table = table or (SINGLE if values.dtype == torch.float32 else HALF)
    fitting: dict[tuple[int, ...], Config] = {}
    for out, depth, samples, splits, group, warps, stages in _rows(table, batch):
        step, most = max(1, depth // wide), min(out, tall)
        if out > max(tall, 64) or (splits > 1 and splits * step * block_rows > count):
            continue
        fewest = 1 if samples < 64 else max(4, samples // 32)  # Hopper's tensor cores take four
        warps = max(fewest, warps * most // out)
        config = {
            "OUT": most, "BATCH": samples, "STEP": step, "SPLIT": splits, "GROUP": group,
            "num_warps": warps, "num_stages": stages,
        }  # fmt: skip
        fitting.setdefault(tuple(config.values()), config)

    def programs(config: Config) -> int:
        bands = block_rows * (tall // config["OUT"])
        return bands * cdiv(batch, config["BATCH"]) * config["SPLIT"]

    return busy_first(list(fitting.values()), programs)


def busy_first(found: Sequence[Config], programs: Callable[[Config], int]) -> Sequence[Config]:
    """Those that leave no multiprocessor idle, in their order; then the others, busiest first."""
    return sorted(found, key=lambda config: -min(PROGRAMS, programs(config)))


def _rows(table: Table, batch: int) -> tuple[Row, ...]:
    return next(rows for most, rows in table.items() if batch <= most)
