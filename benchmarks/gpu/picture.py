"""A picture of results: speed-up over the best dense engine against sparsity, losses included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isnan, prod
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.gpu.cases import BLOCKS, RANDOM, SEMI, SPARSITIES
from benchmarks.gpu.results import speedup

BLUE, ORANGE, GREEN, GREY = "#2563eb", "#ea580c", "#15803d", "#6b7280"
LOSS = "#fdecec"
LOWEST, HIGHEST = 0.04, 40.0
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
WIDTH, HEIGHT = 2.35, 1.9


@dataclass(frozen=True)
class Line:
    """What a line shows.

    Attributes:
        label: In the legend.
        mask: Of its cells.
        kinds: Of the engines whose fastest it shows.
        style: How it is drawn.
    """

    label: str
    mask: str
    kinds: tuple[str, ...]
    style: Mapping[str, Any]


def _ours(color: str, marker: str) -> dict[str, Any]:
    return {"color": color, "marker": marker, "lw": 1.8, "ms": 4.5, "zorder": 3}


def _rival(color: str, marker: str) -> dict[str, Any]:
    return {"color": color, "marker": marker, "lw": 1, "ls": ":", "ms": 4, "mfc": "white"}


LINES = (
    Line("unstructured, our fastest", RANDOM, ("ours",), _ours(BLUE, "o")),
    Line("unstructured, cuSPARSE", RANDOM, ("sparse",), _rival(BLUE, "o")),
    Line("blocks 64x64, our fastest", BLOCKS, ("ours",), _ours(ORANGE, "s")),
    Line("blocks 64x64, torch's fastest", BLOCKS, ("sparse",), _rival(ORANGE, "s")),
    Line("2:4, our fastest", SEMI, ("ours",), _ours(GREEN, "D")),
    Line("2:4, torch's fastest", SEMI, ("sparse",), _rival(GREEN, "D")),
    Line("dense with as few weights", RANDOM, ("smaller",), _rival(GREY, "x") | {"ls": "--"}),
)


def draw(machine: Mapping[str, Any], path: Path) -> Path:
    """Draw what a machine found: a row for each layer or network, a column for each batch."""
    cells = [cell for cell in machine["cells"].values() if "rows" in cell]
    common = max(
        ("bf16", "fp16", "fp32"), key=[cell["dtype"] for cell in cells].count, default="bf16"
    )
    shown = [cell for cell in cells if cell["dtype"] == common]
    names = sorted({(cell["kind"], cell["name"]) for cell in shown}, key=_size)
    batches = sorted({cell["batch"] for cell in shown})
    rows, columns = max(len(names), 1), max(len(batches), 1)
    figure = Figure(figsize=(max(WIDTH * columns + 0.9, 7.5), HEIGHT * rows + 1.7))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for i, (_, name) in enumerate(names):
        for j, batch in enumerate(batches):
            mine = [cell for cell in shown if (cell["name"], cell["batch"]) == (name, batch)]
            _panel(panels[i][j], mine)
        panels[i][0].text(-0.19, 0.5, name, rotation=90, ha="right", va="center", fontsize=9,
                          fontweight="bold", transform=panels[i][0].transAxes)  # fmt: skip
    for j, batch in enumerate(batches):
        panels[0][j].set_title(f"batch {batch}", fontsize=9, fontweight="bold")
    _surround(figure, machine["machine"], common)
    figure.savefig(path, dpi=130)
    return path


def _size(name: tuple[str, str]) -> tuple[int, str]:
    """Networks first, then layers by their number of weights."""
    kind, title = name
    weights = prod(int(side) for side in title.split("x")) if kind == "layer" else 0
    return weights, title


def _panel(axes: Axes, cells: list[Mapping[str, Any]]) -> None:
    axes.set_yscale("log")
    axes.set_ylim(LOWEST / 1.3, HIGHEST * 1.3)
    if not cells:
        axes.set_axis_off()
        return
    axes.axhspan(LOWEST / 1.3, 1, color=LOSS, lw=0, zorder=0)
    axes.axhline(1, color="black", lw=1, zorder=1)
    axes.grid(axis="y", color="#e5e7eb", lw=0.6, zorder=0.5)
    for line in LINES:
        if points := sorted(_points(cells, line)):
            axes.plot(*zip(*points, strict=True), **line.style)
    axes.set_xlim(-0.35, len(SPARSITIES) - 0.65)
    axes.xaxis.set_major_locator(FixedLocator(range(len(SPARSITIES))))
    axes.set_xticklabels([f"{100 * sparsity:g}" for sparsity in SPARSITIES])
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(labelsize=8, length=2)
    axes.spines[["top", "right"]].set_visible(False)


def _points(cells: list[Mapping[str, Any]], line: Line) -> Iterator[tuple[int, float]]:
    """Where a line goes; what lies beyond the panel is drawn at its edge."""
    for cell in cells:
        gain = speedup(cell, *line.kinds)
        if cell["mask"] == line.mask and gain is not None and not isnan(gain):
            yield SPARSITIES.index(cell["sparsity"]), min(max(gain, LOWEST), HIGHEST)


def _surround(figure: Figure, about: Mapping[str, Any], dtype: str) -> None:
    """The title, the legend, and what the axes are."""
    width, height = figure.get_size_inches()
    handles = [Line2D([], [], label=line.label, **line.style) for line in LINES]
    title = f"Speed-up over the best dense engine: {about['device']}"
    figure.suptitle(title, fontsize=12, fontweight="bold", x=0.5, y=1 - 0.12 / height, va="top")
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1 - 0.36 / height),
                  ncols=4 if width > 10 else 2, frameon=False, fontsize=8.5)  # fmt: skip
    software = f"torch {about['torch']}, Triton {about['triton']}, {dtype}"
    note = f"sparsity in %; shaded: slower than dense; medians, layers with cold caches; {software}"
    figure.text(0.5, 0.1 / height, note, ha="center", fontsize=8.5, color=GREY)
    top = 0.75 if width > 10 else 1.1
    figure.tight_layout(
        rect=(0.28 / width, 0.3 / height, 1, 1 - top / height), h_pad=0.6, w_pad=0.4
    )
