"""The search for the sparsest network within a budget: a table and a picture of what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pruneflow.report import units
from pruneflow.report.figures import BLUE, GREEN, GREY, ORANGE, new_figure, write
from pruneflow.report.printable import printable
from pruneflow.report.scales import logarithmic


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
    """Draw what every network has lost, against the weights it has left."""
    picture, axes = new_figure(f"the sparsest network within {max_drop:g} points of dense")
    made = sorted((t for t in tried if t.drop is not None), key=lambda t: t.sparsity)
    places = {t.name: (1 - t.sparsity, -(t.drop or 0)) for t in made}
    axes.plot(*zip(*places.values(), strict=True), color=GREY, lw=1, zorder=1)
    axes.axhline(-max_drop, color=ORANGE, lw=1, ls="--", label=f"budget: {max_drop:g} points")
    groups = (
        ("within the budget", BLUE, [t for t in made if t.is_within and not t.is_chosen]),
        ("beyond it", ORANGE, [t for t in made if not t.is_within]),
        ("chosen", GREEN, [t for t in made if t.is_chosen]),
    )
    for label, color, several in groups:
        if several:
            x, y = zip(*(places[t.name] for t in several), strict=True)
            axes.scatter(x, y, color=color, s=45, label=label, zorder=2)
    for each in (t for t in made if t.is_chosen):  # the last ones lie too close for names
        axes.annotate(units.percent(each.sparsity) + " sparse", places[each.name], (0, 9),
                      textcoords="offset points", ha="center", fontsize=9)  # fmt: skip
    logarithmic(axes.xaxis, [x for x, _ in places.values()], lambda x: f"{100 * x:g}%")
    axes.invert_xaxis()
    axes.set_xlabel("weights left")
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
