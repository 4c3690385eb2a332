"""Gathered runs on a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pruneflow import runfolder
from pruneflow.report import units
from pruneflow.report.gathered_row import COMPLETE, ESTIMATED, STATES, VALIDATION, Row
from pruneflow.report.html import clean

MARKS = {ESTIMATED: "~", VALIDATION: "*"}
"""What stands before an accuracy that was not measured on the test data."""


def gathered_table(rows: Sequence[Row]) -> RenderableType:
    """One line a run; below, what its numbers and its states mean."""
    home = Path(os.path.commonpath([row.folder.absolute().parent for row in rows]))
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, header_style="bold")
    table.add_column("folder", overflow="fold")
    table.add_column("recipe", overflow="fold", min_width=11)
    timed = any(row.speedup is not None for row in rows)
    for column in ("seed", "sparsity", "final", "lost", "size", *(["speed-up"] if timed else [])):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        place = clean(str(row.folder.absolute().relative_to(home)))
        table.add_row(Text(place), *_cells(row, timed))
    states = [state for state in STATES if any(row.state == state for row in rows)]
    below = "" if home == Path().absolute() else f"Folders below {runfolder.shown(home)}. "
    legend = [
        f"{below}Final: test accuracy at the end; lost: points of it; size: share of the dense "
        f"network's bytes{'; speed-up: against the best dense engine' if timed else ''}.",
        *(f"{MARKS[basis]} {basis}." for basis in MARKS if any(r.basis == basis for r in rows)),
        *(f"{state.capitalize()}: {STATES[state]}." for state in states),
    ]
    return Group(table, *(Text(clean(line), "dim") for line in legend))


def _cells(row: Row, timed: bool) -> list[Text]:
    state = [] if row.state == COMPLETE else [Text(row.state, "bold red")]
    speedup = "-" if row.speedup is None else units.times(row.speedup)
    numbers = (
        clean(row.seed),
        units.percent(row.sparsity),
        f"{MARKS.get(row.basis, '')}{units.percent(row.final)}",
        "-" if row.drop is None else f"{row.drop:.2f}",
        units.percent(row.ratio),
        *([speedup] if timed else []),
    )
    recipe = [Text(clean(row.recipe))] if row.recipe else []
    return [Text("\n").join([*recipe, *state]), *map(Text, numbers)]
