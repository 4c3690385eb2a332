"""The outcome of a deployment in plain sentences."""

from __future__ import annotations

from pruneflow.report import units
from pruneflow.report.deploy_view import cells, first_cell, is_green, kind, place, size_ratio
from pruneflow.report.record import Record


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
            if entry.number("error") > entry.number("bound")
        ]
    verdict = report.record("verdict")
    found = [verdict.text("why")] if verdict.has("why") else []
    if verdict.has("wins_from"):
        limit = verdict.record("wins_from")
        found.append(
            f"Sparse would win here from a sparsity of {100 * limit.number('sparsity'):.3g}% "
            f"on, at batch {limit.number('batch'):.0f}."
        )
    return found


def _speed(report: Record) -> str:
    cell, runs = first_cell(report), report.record("verdict").text("runs")
    if cell is None:
        return ", and its speed was not measured"
    rival = cell.text("best_dense")
    if runs == "dense":
        return f", and it runs dense here, as fast as the best dense engine ({rival})"
    if runs == "mixed":
        return _mixed(report)
    speed = units.times(cell.number("speedup"))
    return f" and {speed} as fast as the best dense engine ({rival}) at {place(cell)}"


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


def _batches(found: list[Record]) -> str:
    return units.listed([f"{cell.number('batch'):.0f}" for cell in found])
