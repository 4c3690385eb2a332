"""The picture of a sweep: final accuracy against sparsity, with the spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from pruneflow.report.curves import Curve
from pruneflow.report.figures import COLORS, below_one, literal, new_figure, percent_axis, write

MOST_LABELLED = 2
"""More curves than these carry no numbers: those would lie upon each other."""

MOST_TICKS = 8
MOST_INSIDE = 5
"""The names of more curves stand beside the picture: in it they would lie upon the lines."""


def draw_sweep(curves: Sequence[Curve], path: Path) -> None:
    """Draw curves, each with a band from the least to the greatest of its seeds."""
    seeds = max(len(point.scores) for curve in curves for point in curve.points)
    spread = f": mean, least and greatest of {seeds} seeds" if seeds > 1 else ""
    picture, axes = new_figure(f"accuracy against sparsity{spread}")
    has_control = any(curve.is_dense for curve in curves)
    for index, curve in enumerate(curves):
        color = COLORS[index % len(COLORS)]
        _draw(axes, curve, color, labelled=len(curves) <= MOST_LABELLED)
        if curve.before is not None and not has_control:
            axes.axhline(curve.before, color=color, lw=1, ls=":",
                         label=literal(f"{curve.name}: before pruning"))  # fmt: skip
    below_one(axes)
    axes.set_ylim(bottom=max(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("sparsity")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    places = sorted({point.sparsity for curve in curves for point in curve.points})
    if len(places) <= MOST_TICKS:
        axes.set_xticks(places, [f"{place:.4g}%" for place in (100 * at for at in places)])
    percent_axis(axes, "test accuracy", "black")
    if len(curves) <= MOST_INSIDE:
        axes.legend(frameon=False, loc="best")
    else:
        picture.set_figwidth(11)
        picture.legend(frameon=False, loc="outside right upper")
    write(picture, path)


def _draw(axes: Axes, curve: Curve, color: str, labelled: bool) -> None:
    x = [point.sparsity for point in curve.points]
    means = [point.mean for point in curve.points]
    low = [mean - point.scores[0] for mean, point in zip(means, curve.points, strict=True)]
    high = [point.scores[-1] - mean for mean, point in zip(means, curve.points, strict=True)]
    style = "--" if curve.is_dense else "-"
    axes.errorbar(x, means, (low, high), color=color, marker="o", ms=5, lw=1.8, ls=style,
                  capsize=3, elinewidth=1, label=literal(curve.name))  # fmt: skip
    axes.fill_between(x, [m - d for m, d in zip(means, low, strict=True)],
                      [m + d for m, d in zip(means, high, strict=True)],
                      color=color, alpha=0.1, lw=0)  # fmt: skip
    for sparsity, mean in zip(x, means, strict=True) if labelled else ():
        axes.annotate(f"{mean:.2%}", (sparsity, mean), (0, 9), textcoords="offset points",
                      ha="center", color=color, fontsize=9)  # fmt: skip
