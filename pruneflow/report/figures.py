"""What all our pictures have in common: size, colours, axes of percent, how they are written."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from pruneflow import runfolder
from pruneflow.report.printable import printable

BLUE, ORANGE, GREY, GREEN = "#2563eb", "#ea580c", "#9ca3af", "#15803d"
COLORS = (BLUE, ORANGE, GREEN, "#7c3aed", "#db2777", "#0891b2", "#a16207", "#4b5563")
"""For lines beside each other, in this order."""


def new_figure(title: str) -> tuple[Figure, Axes]:
    """An empty picture with a title of plain text."""
    empty = Figure(figsize=(8, 4.2), dpi=130, layout="constrained")
    axes = empty.add_subplot()
    axes.set_title(literal(title), loc="left", fontsize=11)
    return empty, axes


def literal(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return printable(text).replace("$", r"\$")


def below_one(axes: Axes) -> None:
    """Room for labels, but none for accuracies that cannot be."""
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.1 * (high - low), min(high + 0.1 * (high - low), 1.005))


def percent_axis(axes: Axes, label: str, color: str) -> None:
    """Label the y axis, in percent."""
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel(label, color=color)
    axes.tick_params(axis="y", colors=color)
    axes.spines[["top"]].set_visible(False)


def write(picture: Figure, path: Path) -> None:
    """Write a picture as PNG, whole or not at all."""
    stream = io.BytesIO()
    picture.savefig(stream, format="png")
    runfolder.write_bytes(path, stream.getvalue())
