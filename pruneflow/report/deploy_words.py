"""The outcome of a deployment in plain sentences."""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.report import units
from pruneflow.report.c99_words import code_of, gain
from pruneflow.report.deploy_view import (
    cells,
    differs,
    first_cell,
    is_green,
    kind,
    place,
    size_ratio,
)
from pruneflow.report.record import Record

MOST_TRIED = 0.98
"""The largest sparsity at which deploy tries whether sparse would win."""


def headline(report: Record) -> str:
    """One sentence with the numbers that matter."""
    if not is_green(report):
        return (
            "Not fit to ship: the packed network computes something else than the dense one, "
            "beyond what rounding explains. No speed is shown."
        )
    name = report.record("accuracy").text("metric", "accuracy")
    was = "was " if not report.has("accuracy") else ""
    return f"{size_ratio(report).capitalize()}{_speed(report)}; {name} {was}{accuracy(report)}."


def accuracy(report: Record) -> str:
    """``97.22% before and 97.22% after``."""
    if not report.has("accuracy"):
        return "not measured"
    scores = report.record("accuracy")
    before, after = scores.number("before"), scores.number("after")
    return f"{units.percent(before)} before and {units.percent(after)} after"


def reasons(report: Record) -> list[str]:
    """Why it runs as it does, and what would change that; or which engine is wrong."""
    if not is_green(report):
        return [
            f"{name} is off by {entry.number('error'):.2g}, where rounding explains "
            f"{entry.number('bound'):.2g}."
            for name, entry in report.record("gate").named("engines").items()
            if differs(entry)
        ]
    verdict = report.record("verdict")
    found = [verdict.text("why")] if verdict.has("why") else []
    limits = _limits(verdict)
    if limits:
        found.append(f"Sparse would win {_wins(limits, report.number('sparsity'))}.")
    if report.has("graph") and not report.truth("graph"):
        found.append(
            "This network could not be turned into a graph, so ONNX Runtime could not take part: "
            "the best dense engine is the best of the others."
        )
    return found


def _limits(verdict: Record) -> list[Record]:
    """From where on sparse would win, by cell; version 1 began with one cell alone."""
    if isinstance(verdict.values.get("wins_from"), list):
        return verdict.records("wins_from")
    return [verdict.record("wins_from")] if verdict.has("wins_from") else []


def _wins(limits: Sequence[Record], own: float) -> str:
    """``from 80% at batch 16; at no sparsity tried (up to 98%) at batch 64``."""
    places: dict[tuple[float | None, float], list[Record]] = {}
    for limit in limits:
        key = limit.optional("sparsity"), limit.optional("threads") or 1
        places.setdefault(key, []).append(limit)
    several = any(threads != 1 for _, threads in places)
    found = []
    for (sparsity, threads), alike in places.items():
        least = (
            f"at no sparsity tried (up to {_short(max(own, MOST_TRIED))})"
            if sparsity is None
            else f"from {_short(sparsity)}"
        )
        using = f" with {threads:.0f} thread{'s' if threads != 1 else ''}" if several else ""
        found.append(f"{least} at batch {_batches(alike)}{using}")
    return "; ".join(found)


def _short(sparsity: float) -> str:
    return f"{100 * sparsity:.3g}%"


def _speed(report: Record) -> str:
    cell, runs = first_cell(report), report.record("verdict").text("runs")
    if cell is None:
        code = code_of(report)
        return _and(gain(code) if code is not None else "") or ", and its speed was not measured"
    if runs == "dense":
        return _dense(cells(report))
    if runs == "mixed":
        return _mixed(report)
    rival = cell.text("best_dense")
    speed = units.times(cell.number("speedup"))
    return f" and {speed} as fast as the best dense engine ({rival}) at {place(cell)}"


def _and(text: str) -> str:
    return f" and {text}" if text else ""


def _dense(everywhere: Sequence[Record]) -> str:
    rivals = units.listed(list(dict.fromkeys(cell.text("best_dense") for cell in everywhere)))
    if all(cell.text("chosen") == cell.text("best_dense") for cell in everywhere):
        return f", and it runs dense here, as fast as the best dense engine ({rivals})"
    engines = units.listed(list(dict.fromkeys(cell.text("chosen") for cell in everywhere)))
    speeds = [cell.number("speedup") for cell in everywhere]
    span = dict.fromkeys(units.times(speed) for speed in (min(speeds), max(speeds)))
    where = f" at {place(everywhere[0])}" if len(everywhere) == 1 else ""
    return (
        f", and it runs dense here ({engines}), {' to '.join(span)} as fast as the best dense "
        f"engine ({rivals}){where}"
    )


def _mixed(report: Record) -> str:
    everywhere = cells(report)
    sparse = [cell for cell in everywhere if kind(cell, cell.text("chosen")) == "sparse"]
    dense = [cell for cell in everywhere if cell not in sparse]
    best = max((cell.number("speedup") for cell in sparse), default=1)
    gain = f"up to {units.times(best)} as fast as the best dense engine"
    if len({cell.number("threads") for cell in everywhere}) > 1 or not sparse:
        some = f"{len(sparse)} of the {len(everywhere)} combinations of batch and threads"
        return f"; sparse in {some}, {gain}, and dense in the others"
    return f"; sparse at batch {_batches(sparse)}, {gain}, and dense at batch {_batches(dense)}"


def _batches(found: Sequence[Record]) -> str:
    return units.listed([f"{cell.number('batch'):.0f}" for cell in found])
