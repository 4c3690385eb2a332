"""The figures to reach on an H100, and whether they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from benchmarks.gpu.cases import (
    BLOCKS,
    HUGE,
    NETWORK_BATCHES,
    NETWORKS,
    RANDOM,
    SEMI,
    SPARSITIES,
    SQUARE,
    Case,
    layer,
    network,
)  # fmt: skip
from benchmarks.gpu.results import fastest, speedup

Cell = Mapping[str, Any]
Reached = Callable[[Cell], float | None]


@dataclass(frozen=True)
class Goal:
    """A figure that is to be reached in every one of some cells.

    Attributes:
        what: In words.
        cases: The cells.
        wanted: The figure.
        reached: A cell's own figure; NaN where no kernel of ours ran, None where the engine to
            compare with did not.
        is_most: Whether the figure must not be exceeded; else it must not be missed.
    """

    what: str
    cases: tuple[Case, ...]
    wanted: float
    reached: Reached
    is_most: bool = False

    def judged(self, cells: Mapping[str, Cell]) -> dict[str, Any]:
        """Whether it was reached, by the worst of the cells that were measured."""
        there = [cells[case.title] for case in self.cases if case.title in cells]
        found = [number for cell in there if (number := self.reached(cell)) is not None]
        worst, verdict = None, "not measured"
        if any(isnan(number) for number in found):
            verdict = "fail"
        elif found:
            worst = max(found) if self.is_most else min(found)
            good = worst <= self.wanted if self.is_most else worst >= self.wanted
            verdict = "pass" if good else "fail"
        return {
            "goal": self.what,
            "wanted": f"{'at most' if self.is_most else 'at least'} {self.wanted:g}",
            "reached": None if worst is None else round(worst, 3),
            "verdict": verdict,
            "cells": f"{len(found)} of {len(self.cases)}",
        }


def judged(cells: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """Every goal and what became of it."""
    return [goal.judged(cells) for goal in every()]


def every() -> Iterator[Goal]:
    """All goals."""
    for sparsity in (0.8, 0.9, 0.95):
        what = f"unstructured {sparsity:.0%}, batch 1, {HUGE}: share of the bytes' limit"
        yield Goal(what, (layer(HUGE, RANDOM, sparsity, 1),), 0.8, share_of_bytes)
    for sparsity, wanted in ((0.8, 1.5), (0.9, 2.1), (0.95, 2.7)):
        what = f"unstructured {sparsity:.0%}, batch 1, {SQUARE}: to cuBLAS"
        yield Goal(what, (layer(SQUARE, RANDOM, sparsity, 1),), wanted, to_cublas)
    what = f"unstructured 95%, batch 16, {HUGE}: to cuBLAS"
    yield Goal(what, (layer(HUGE, RANDOM, 0.95, 16),), 2.4, to_cublas)
    for shape, least in ((HUGE, (5.0, 4.0, 4.0)), (SQUARE, (2.7, 2.7, 4.0))):
        for batch, wanted in zip((16, 256, 2048), least, strict=True):
            case = (layer(shape, BLOCKS, 0.9, batch),)
            yield Goal(f"blocks 90%, batch {batch}, {shape}: to cuBLAS", case, wanted, to_cublas)
            yield Goal(f"blocks 90%, batch {batch}, {shape}: to torch's BSR", case, 1.2, to_bsr)
    for shape in (HUGE, SQUARE):
        case = (layer(shape, SEMI, 0.5, 1),)
        yield Goal(f"2:4, batch 1, {shape}: to cuBLAS", case, 1.3, to_cublas)
    for name in NETWORKS[:2]:
        cases = tuple(network(name, sparsity, 1) for sparsity in SPARSITIES)
        yield Goal(f"{name}, batch 1: times the launch floor", cases, 1.5, to_floor, is_most=True)
        yield Goal(f"{name}, batch 1: to torch.compile", cases, 3.0, to_compiled)
    cases = tuple(
        network(name, sparsity, batch)
        for name in NETWORKS
        for batch in NETWORK_BATCHES
        for sparsity in SPARSITIES
    )
    what = "whole networks, what would be deployed: times the best dense engine"
    yield Goal(what, cases, 1.02, lambda cell: cell.get("chosen_to_best_dense"), is_most=True)


def share_of_bytes(cell: Cell) -> float | None:
    """The time that the bytes of our fastest kernel take at least, as a share of its own."""
    own = fastest(cell, "ours")
    return cell["rows"][own[0]]["limits"]["bytes"] / own[1] if own else nan


def to_cublas(cell: Cell) -> float | None:
    """How many times as fast as cuBLAS our fastest kernel is."""
    return speedup(cell, "ours", to="cublas")


def to_bsr(cell: Cell) -> float | None:
    """How many times as fast as torch's block-sparse kernel ours is."""
    return speedup(cell, "ours", to="torch bsr")


def to_compiled(cell: Cell) -> float | None:
    """How many times as fast as ``torch.compile`` our fastest engine is."""
    return speedup(cell, "ours", to="torch.compile")


def to_floor(cell: Cell) -> float | None:
    """How many launches of nothing our fastest engine takes, both as warm graphs."""
    rows = cell.get("rows", {})
    warm = {name: row["warm"]["p50"] for name, row in rows.items() if "warm" in row}
    floor = warm.get("launch floor")
    own = [warm[name] for name, row in rows.items() if row["kind"] == "ours" and name in warm]
    if floor is None:
        return None
    return min(own) / floor if own else nan
