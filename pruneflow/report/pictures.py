"""Pictures: of a plan, of a run, of a sweep."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pruneflow import runfolder
from pruneflow.report.printable import printable

BLUE, ORANGE, GREY, GREEN = "#2563eb", "#ea580c", "#9ca3af", "#15803d"

Points = Sequence[tuple[float, float]]


def draw_plan(plan: Mapping[str, Any], path: Path) -> None:
    """Sparsity and learning rate over time, with a mark at every pruning."""
    figure, axes = _figure(plan["recipe"])
    each, total = plan["steps_per_epoch"], plan["steps"]
    known = [e for e in plan["events"] if e["sparsity"] is not None]
    _sparsity(axes, _stairs([(e["epoch"], e["sparsity"]) for e in known], total / each))
    _prunings(axes, known)
    _rates(axes.twinx(), plan.get("rates", ()), plan.get("own_rates", ()), each, total)
    axes.set_xlim(0, total / each)
    _write(figure, path)


def draw_run(
    plan: Mapping[str, Any],
    journal: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, float]],
    result: Mapping[str, Any],
    path: Path,
) -> None:
    """Sparsity and validation accuracy over time, with what the test set said."""
    figure, axes = _figure(f"{result['recipe']} on {result['model']}, {result['data']}")
    each, total = plan["steps_per_epoch"], plan["steps"]
    _sparsity(axes, _stairs([(e["epoch"], e["sparsity"]) for e in journal], total / each))
    _prunings(axes, journal)
    other = axes.twinx()
    scores = [(h["step"] / each, h["val_accuracy"]) for h in history if "val_accuracy" in h]
    if scores:
        other.plot(*zip(*scores, strict=True), color=ORANGE, lw=1.8, label="validation accuracy")
    final = result["accuracy"]["final"]
    tested = [r for r in result["rounds"] if r["test_accuracy"] is not None]
    other.plot([r["step"] / each for r in tested], [r["test_accuracy"] for r in tested], "o",
               color=ORANGE, mfc="white", clip_on=False, zorder=3)  # fmt: skip
    if final is not None:
        axes.set_title(f"test accuracy {final:.2%}", loc="right", fontsize=10, color=ORANGE)
    _below_one(other)
    axes.set_xlabel("epoch   (line: validation; circles: test, right before a pruning; ▼: rewound)")
    _percent_axis(other, "accuracy", ORANGE)
    axes.set_xlim(0, total / each)
    _write(figure, path)


def draw_sweep(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Final accuracy against sparsity, a line a recipe, with the spread over seeds."""
    figure, axes = _figure("accuracy against sparsity")
    measured = [r for r in results if r["accuracy"]["final"] is not None]
    for color, name in zip(_colors(), dict.fromkeys(r["recipe"] for r in measured), strict=False):
        mine = [r for r in measured if r["recipe"] == name]
        _curve(axes, [(r["sparsity"], r["accuracy"]["final"]) for r in mine], color, _literal(name))
        dense = [r["accuracy"]["dense"] for r in mine if r["accuracy"]["dense"] is not None]
        if dense:
            axes.axhline(sum(dense) / len(dense), color=color, lw=1, ls=":",
                         label=_literal(f"{name}: before pruning"))  # fmt: skip
    _below_one(axes)
    axes.set_xlabel("sparsity")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    _percent_axis(axes, "test accuracy", "black")
    axes.legend(frameon=False, loc="best")
    _write(figure, path)


def _curve(axes: Axes, points: Points, color: str, label: str) -> None:
    by_sparsity: dict[float, list[float]] = {}
    for sparsity, score in sorted(points):
        by_sparsity.setdefault(round(sparsity, 4), []).append(score)
    x = list(by_sparsity)
    means = [sum(scores) / len(scores) for scores in by_sparsity.values()]
    low = [m - min(s) for m, s in zip(means, by_sparsity.values(), strict=True)]
    high = [max(s) - m for m, s in zip(means, by_sparsity.values(), strict=True)]
    axes.errorbar(x, means, (low, high), color=color, marker="o", lw=1.8, capsize=3, label=label)
    for sparsity, mean in zip(x, means, strict=True):
        axes.annotate(f"{mean:.2%}", (sparsity, mean), (0, 9), textcoords="offset points",
                      ha="center", color=color, fontsize=9)  # fmt: skip


def _below_one(axes: Axes) -> None:
    """Room for labels, but none for accuracies that cannot be."""
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.1 * (high - low), min(high + 0.1 * (high - low), 1.005))


def _sparsity(axes: Axes, points: Points) -> None:
    if points:
        x, y = zip(*points, strict=True)
        axes.step(x, y, where="post", color=BLUE, lw=1.8)
        axes.fill_between(x, y, step="post", color=BLUE, alpha=0.08, lw=0)
    axes.set_xlabel("epoch")
    axes.set_ylim(0, 1)
    _percent_axis(axes, "sparsity", BLUE)


def _prunings(axes: Axes, events: Sequence[Mapping[str, Any]]) -> None:
    for event in events:
        if event["event"] == "prune":
            axes.axvline(event["epoch"], color=GREY, lw=0.6, alpha=0.5, zorder=0)
        elif event["event"] == "rewind":
            axes.plot([event["epoch"]], [1.0], marker="v", color=GREY, clip_on=False, ms=5)


def _rates(axes: Axes, rates: Points, own: Points, each: int, total: int) -> None:
    for points, style, color in ((own, ":", GREY), (rates, "-", GREEN)):
        if points:
            x, y = zip(*_stairs([(s / each, r) for s, r in points], total / each), strict=True)
            axes.step(x, y, where="post", color=color, lw=1.4, ls=style)
    axes.set_ylabel("learning rate (dotted: the module's own)", color=GREEN)
    axes.tick_params(axis="y", colors=GREEN)
    axes.set_ylim(bottom=0)
    axes.spines[["top"]].set_visible(False)


def _stairs(points: Points, end: float) -> list[tuple[float, float]]:
    """Points of a staircase from 0 to ``end``; the value before the first point is 0."""
    if not points:
        return []
    start = [] if points[0][0] == 0 else [(0.0, 0.0)]
    return [*start, *points, (end, points[-1][1])]


def _percent_axis(axes: Axes, label: str, color: str) -> None:
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel(label, color=color)
    axes.tick_params(axis="y", colors=color)
    axes.spines[["top"]].set_visible(False)


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 4.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(_literal(title), loc="left", fontsize=11)
    return figure, axes


def _literal(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return printable(text).replace("$", r"\$")


def _colors() -> list[str]:
    return [BLUE, ORANGE, GREEN, "#7c3aed", "#db2777", "#0891b2", "#a16207", "#4b5563"]


def _write(figure: Figure, path: Path) -> None:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    runfolder.write_bytes(path, stream.getvalue())
