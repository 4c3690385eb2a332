"""What the report of a deployed network says, in the terms its pages and tables need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pruneflow.errors import DataError
from pruneflow.report import units
from pruneflow.report.record import Record

FILE = "report.json"
SCHEMA = "pruneflow.report/"
VERSION = 1


@dataclass(frozen=True)
class Crossover:
    """Where the fastest engine changes its kind.

    Attributes:
        batch: Between two batches that were measured, on a straight line of the logarithms.
        winner: The kind that wins above it, ``sparse`` or ``dense``.
    """

    batch: float
    winner: str


@dataclass(frozen=True)
class Timing:
    """What the first cell says.

    Attributes:
        latency: Microseconds of one call of what was chosen.
        speedup: How many times as fast as the best dense engine.
        place: ``batch 1, 1 thread``.
        device: The processor or GPU.
    """

    latency: float
    speedup: float
    place: str
    device: str


def opened(report: Mapping[str, object], where: str = FILE) -> Record:
    """A report that this version can read.

    Raises:
        DataError: It is no report, or a newer PruneFlow made it.
    """
    record = Record.of(report, where)
    schema = record.text("schema", "")
    name, _, version = schema.rpartition("/")
    if f"{name}/" != SCHEMA or not (version.isascii() and version.isdigit()):
        raise DataError(f"{where}: is not the report of a deployed network")
    if int(version) > VERSION:
        raise DataError(f"{where}: was made by a newer PruneFlow; update this one to read it")
    return record


def is_green(report: Record) -> bool:
    """Whether every engine agreed with the dense network."""
    return report.record("gate").truth("passed")


def cells(report: Record) -> list[Record]:
    """What was timed, fewest threads first, then small batches; nothing where the gate is red."""
    if not is_green(report):
        return []
    return sorted(
        report.records("latency"), key=lambda cell: (cell.number("threads"), cell.number("batch"))
    )


def by_workers(report: Record) -> dict[str, list[Record]]:
    """The cells of each thread count, or of the GPU."""
    found: dict[str, list[Record]] = {}
    for cell in cells(report):
        found.setdefault(workers(cell), []).append(cell)
    return found


def first_cell(report: Record) -> Record | None:
    """What the headline speaks of: the smallest batch on the fewest threads."""
    return next(iter(cells(report)), None)


def timing(report: Record) -> Timing | None:
    """The headline's numbers; none where nothing was timed or the gate is red."""
    cell = first_cell(report)
    if cell is None:
        return None
    chosen = cell.record("engines").record(cell.text("chosen"))
    machine = report.record("device")
    device = machine.text("gpu", "") or machine.text("cpu", "")
    return Timing(chosen.number("median"), cell.number("speedup"), place(cell), device)


def engines(report: Record) -> list[str]:
    """Every engine that was timed, in the order the report lists them."""
    timed = {name: None for cell in cells(report) for name in cell.named("engines")}
    listed = [name for name in report.named("engines") if name in timed]
    return [*listed, *(name for name in timed if name not in listed)]


def missing(report: Record) -> dict[str, str]:
    """The engines that could not be timed, and why."""
    found = report.named("engines")
    return {name: entry.text("missing") for name, entry in found.items() if entry.has("missing")}


def differs(verdict: Record) -> bool:
    """Whether the gate found that an engine computes something else."""
    return verdict.has("passed") and not verdict.truth("passed")


def kind(cell: Record, engine: str) -> str:
    """Whether an engine of a cell is ``sparse`` or ``dense``."""
    return cell.named("engines")[engine].text("kind") if engine in cell.named("engines") else "?"


def place(cell: Record) -> str:
    """``batch 1, 1 thread``."""
    return f"batch {cell.number('batch'):.0f}, {workers(cell)}"


def workers(cell: Record) -> str:
    """What computes: ``1 thread``, or ``GPU``."""
    if cell.text("device", "cpu") != "cpu":
        return "GPU"
    threads = cell.number("threads")
    return f"{threads:.0f} thread{'s' if threads != 1 else ''}"


def size_ratio(report: Record) -> str:
    """``15.5x smaller``, with the sign."""
    bundle = report.record("bundle")
    packed, dense = bundle.number("bytes"), bundle.number("dense_bytes")
    if min(packed, dense) <= 0:
        return "of unknown size"
    if packed <= dense:
        return f"{units.times(dense / packed)} smaller"
    return f"{units.times(packed / dense)} larger"


def crossover(cells: Sequence[Record]) -> Crossover | None:
    """The first batch at which sparse starts or stops being the faster kind.

    Args:
        cells: Those of one thread count, small batches first.
    """
    leads = [
        (cell.number("batch"), math.log(best["dense"] / best["sparse"]))
        for cell in cells
        if len(best := _fastest(cell)) == 2 and cell.number("batch") > 0
        and best["dense"] != best["sparse"]
    ]  # fmt: skip
    for (low, before), (high, after) in pairwise(leads):
        if before * after < 0:
            share = before / (before - after)
            return Crossover(low * (high / low) ** share, "sparse" if after > 0 else "dense")
    return None


def _fastest(cell: Record) -> dict[str, float]:
    """The lowest median of each kind, in microseconds."""
    best: dict[str, float] = {}
    for entry in cell.named("engines").values():
        name, median = entry.text("kind"), entry.number("median")
        if name in ("dense", "sparse") and median > 0:
            best[name] = min(median, best.get(name, median))
    return best
