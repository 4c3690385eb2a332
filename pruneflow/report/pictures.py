"""Pictures of a plan and of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from pruneflow.report.figures import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    below_one,
    new_figure,
    percent_axis,
    write,
)

Points = Sequence[tuple[float, float]]


def draw_plan(plan: Mapping[str, Any], path: Path) -> None:
    """Sparsity and learning rate over time, with a mark at every pruning."""
    figure, axes = new_figure(plan["recipe"])
    each, total = plan["steps_per_epoch"], _shown(plan)
    known = [e for e in plan["events"] if e["sparsity"] is not None]
    _sparsity(axes, _stairs([(e["epoch"], e["sparsity"]) for e in known], total / each))
    _prunings(axes, known)
    _rates(axes.twinx(), plan.get("rates", ()), plan.get("own_rates", ()), each, total)
    axes.set_xlim(0, total / each)
    write(figure, path)


def draw_run(
    plan: Mapping[str, Any],
    journal: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, float]],
    result: Mapping[str, Any],
    path: Path,
) -> None:
    """Sparsity and validation accuracy over time, with what the test set said."""
    figure, axes = new_figure(f"{result['recipe']} on {result['model']}, {result['data']}")
    each, total = plan["steps_per_epoch"], _shown(plan)
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
    below_one(other)
    axes.set_xlabel("epoch   (line: validation; circles: test, right before a pruning; ▼: rewound)")
    percent_axis(other, "accuracy", ORANGE)
    axes.set_xlim(0, total / each)
    write(figure, path)


def _shown(plan: Mapping[str, Any]) -> int:
    """Steps along the picture: those of the run, or an epoch to see a run of none on."""
    return int(plan["steps"] or plan["steps_per_epoch"])


def _sparsity(axes: Axes, points: Points) -> None:
    if points:
        x, y = zip(*points, strict=True)
        axes.step(x, y, where="post", color=BLUE, lw=1.8)
        axes.fill_between(x, y, step="post", color=BLUE, alpha=0.08, lw=0)
    axes.set_xlabel("epoch")
    axes.set_ylim(0, 1)
    percent_axis(axes, "sparsity", BLUE)


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
