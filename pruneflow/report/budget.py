"""The search for the sparsest network within a budget: a table and a picture of what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.ticker import PercentFormatter
from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pruneflow.report import units
from pruneflow.report.figures import BLUE, GREEN, GREY, ORANGE, literal, new_figure, write
from pruneflow.report.printable import printable


@dataclass(frozen=True)
class Tried:
    """A network of the search; the first one is dense.

    Attributes:
        name: Of its folder.
        sparsity: What it has, or was asked for where it could not be.
        validation: Its accuracy on validation data, or None where it could not be.
        test: Likewise on test data.
        drop: Points lost on validation data, against the dense one.
        is_within: Whether that is within the budget.
        is_chosen: Whether it is the sparsest such.
        reason: Why it could not be.
    """

    name: str
    sparsity: float
    validation: float | None
    test: float | None
    drop: float | None
    is_within: bool
    is_chosen: bool = False
    reason: str = ""


def budget_table(tried: Sequence[Tried], max_drop: float) -> RenderableType:
    """One line a network, in the order they were tried."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("run")
    for column in ("sparsity", "validation", "lost", "test"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for each in tried:
        numbers = (units.percent(each.sparsity), units.percent(each.validation))
        lost = "-" if each.drop is None else f"{each.drop:.2f}"
        style = "bold green" if each.is_chosen else ""
        table.add_row(
            each.name, *numbers, lost, units.percent(each.test), _verdict(each), style=style
        )
    legend = (
        f"Lost: points of accuracy on validation data against the dense network; {max_drop:g} may "
        "be. The choice is made by these alone; accuracy on test data is only reported."
    )
    return Group(table, Text(legend, "dim"))


def draw_budget(tried: Sequence[Tried], max_drop: float, path: Path) -> None:
    """Draw what every network has lost, against its sparsity."""
    picture, axes = new_figure(f"the sparsest network within {max_drop:g} points of dense")
    made = sorted((t for t in tried if t.drop is not None), key=lambda t: t.sparsity)
    axes.plot(
        [t.sparsity for t in made], [-(t.drop or 0) for t in made], color=GREY, lw=1, zorder=1
    )
    axes.axhline(-max_drop, color=ORANGE, lw=1, ls="--", label=f"budget: {max_drop:g} points")
    groups = (
        ("within the budget", BLUE, [t for t in made if t.is_within and not t.is_chosen]),
        ("beyond it", ORANGE, [t for t in made if not t.is_within]),
        ("chosen", GREEN, [t for t in made if t.is_chosen]),
    )
    for label, color, several in groups:
        if several:
            x, y = [t.sparsity for t in several], [-(t.drop or 0) for t in several]
            axes.scatter(x, y, color=color, s=45, label=label, zorder=2)
    for each in made:
        axes.annotate(literal(each.name), (each.sparsity, -(each.drop or 0)), (0, 7),
                      textcoords="offset points", ha="center", fontsize=8)  # fmt: skip
    axes.set_xlabel("sparsity")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylabel("points of validation accuracy against dense")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
    write(picture, path)


def _verdict(tried: Tried) -> str:
    if tried.reason:
        return printable(f"cannot be: {tried.reason}")
    if tried.is_chosen:
        return "chosen"
    return "within" if tried.is_within else "beyond"
