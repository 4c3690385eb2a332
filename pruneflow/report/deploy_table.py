"""The outcome of a deployment on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pruneflow.report import units
from pruneflow.report.c99_words import code_of, lines
from pruneflow.report.deploy_view import (
    by_workers,
    engines,
    is_green,
    kind,
    missing,
    opened,
    size_ratio,
)
from pruneflow.report.deploy_words import accuracy, headline, reasons
from pruneflow.report.html import clean
from pruneflow.report.record import Record

ACROSS = 4
"""Batches side by side, so that a table fits eighty columns."""


def deploy_table(report: Mapping[str, object]) -> RenderableType:
    """Latencies by engine and batch, then size, accuracy and verdict.

    Args:
        report: What ``report.json`` holds.

    Raises:
        DataError: It is not the report of a deployed network, or it is damaged.
    """
    record = opened(report)
    parts: list[RenderableType] = [
        _latency(workers, cells[start : start + ACROSS], engines(record))
        for workers, cells in by_workers(record).items()
        for start in range(0, len(cells), ACROSS)
    ]
    if parts:
        parts.append(Text("One call, median over turns; > runs here, * best dense engine.", "dim"))
    for name, why in missing(record).items():
        parts.append(Text(clean(f"{name} was not timed: {why}"), "dim"))
    return Group(*parts, _outcome(record))


def _latency(workers: str, cells: Sequence[Record], names: Sequence[str]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(workers, overflow="fold")
    table.add_column("kind", overflow="fold")
    for cell in cells:
        table.add_column(f"batch {cell.number('batch'):.0f}", justify="right", no_wrap=True)
    for name in names:
        kinds = [kind(cell, name) for cell in cells if name in cell.named("engines")]
        if kinds:
            times = (_time(cell, name) for cell in cells)
            table.add_row(Text(clean(name)), Text(clean(kinds[0])), *times)
    table.add_section()
    speeds = (Text(units.times(cell.number("speedup")), "bold") for cell in cells)
    table.add_row(Text("speed-up"), Text("of *", "dim"), *speeds)
    return table


def _time(cell: Record, engine: str) -> Text:
    timed = cell.named("engines")
    if engine not in timed:
        return Text("-", "dim")
    runs, rules = engine == cell.text("chosen"), engine == cell.text("best_dense")
    marks = f"{'>' if runs else ''}{'*' if rules else ''} ".lstrip()
    style = "bold green" if runs else "bold" if rules else ""
    return Text(f"{marks}{units.duration(timed[engine].number('median'))}", style)


def _outcome(report: Record) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("size", Text(_size(report.record("bundle"), size_ratio(report))))
    table.add_row("accuracy", Text(clean(accuracy(report))))
    code = code_of(report)
    for name, text in lines(code).items() if code else ():
        table.add_row(name, Text(clean(text)))
    table.add_row("verdict", Text(clean(headline(report)), "bold" if is_green(report) else "red"))
    for why in reasons(report):
        table.add_row("", Text(clean(why)))
    return table


def _size(bundle: Record, ratio: str) -> str:
    packed, dense = units.count(bundle.number("bytes")), units.count(bundle.number("dense_bytes"))
    bound = bundle.optional("entropy_bytes")
    least = "" if bound is None else f"; entropy bound {units.count(bound)}"
    return f"{packed} bytes of {dense} dense: {ratio}{least}"
