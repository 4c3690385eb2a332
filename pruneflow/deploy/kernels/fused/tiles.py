"""How the pieces of a plan are cut into tiles, for so many programs and threads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pruneflow.deploy.kernels.fused.plan import KINDS, Piece, Plan
from pruneflow.deploy.kernels.language import cdiv

WIDEST = 64
"""Lanes along the weights of a row at most."""

Tiles = tuple[int, int, int]
"""At which program to begin, results of a tile, lanes of each."""


@lru_cache(maxsize=256)
def program(plan: Plan, programs: int, threads: int) -> Mapping[str, tuple[tuple[Any, ...], ...]]:
    """The pieces and their tiles as the constants of ``kernel.fused_network``.

    Pieces that do not wait go on at the program where the last one ended, so that small ones do not
    all end up at the first program.
    """
    tiles: list[Tiles] = []
    used = 0
    for piece in plan.pieces:
        count, lanes, each = _extent(piece)
        block = _power(max(1, threads * each // lanes))
        while block * lanes > threads and (cdiv(count, block) < programs or block >= 2 * count):
            block //= 2
        if programs < cdiv(count, block) <= 2 * programs:
            block *= 2  # a second tile would have to wait for memory once more
        used = 0 if piece[1] else used
        tiles.append((-used % programs, block, lanes))
        used += cdiv(count, block)
    return {
        "KINDS": tuple((KINDS.index(kind), waits) for kind, waits, _, _ in plan.pieces),
        "NUMBERS": tuple(numbers for _, _, numbers, _ in plan.pieces),
        "ENDS": tuple(ends for _, _, _, ends in plan.pieces),
        "TILES": tuple(tiles),
    }


def _extent(piece: Piece) -> Tiles:
    """Results of a piece, lanes of each, and how many numbers a thread reads at once."""
    kind, _, numbers, _ = piece
    if kind == "gather":
        positions, width, rows = numbers[4], numbers[9], numbers[11]
        lanes = min(width & -width, WIDEST if positions == 1 else 8) or 1
        return rows * positions, lanes, min(lanes, 8)
    if kind == "pool":
        return numbers[1] * numbers[6] * numbers[7], 1, 1
    if kind == "mean":
        return numbers[5], min(_power(2 * numbers[1] - 1), WIDEST), 1
    if kind == "copy":
        return numbers[5], 1, 1
    _, channels, height, width, above, beside = numbers
    return channels * (2 * above * (width + 2 * beside) + 2 * beside * height), 1, 1


def _power(number: int) -> int:
    """The largest power of two that is not larger."""
    return 1 << (number.bit_length() - 1)
