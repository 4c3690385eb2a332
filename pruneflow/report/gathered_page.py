"""The page over many runs: what each one reached, and at what cost."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from pruneflow import runfolder
from pruneflow.report import deploy_page, units
from pruneflow.report.gathered_charts import accuracy_chart, line_keys, pareto_chart
from pruneflow.report.gathered_row import COMPLETE, ESTIMATED, SHORT, STATES, VALIDATION, Row
from pruneflow.report.html import Markup, element, joined, page
from pruneflow.report.html import write as write_page
from pruneflow.report.parts import Cell, chart, charts, section, table

SMALL_LOSS = 1.0
"""Points of accuracy that the headline lets a run lose."""


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the page over some runs; that of a single run shows all of it.

    Args:
        rows: At least one.
        path: The page to write; links in it are relative to its folder.

    Raises:
        DataError: The report of a deployment is damaged.
        OSError: The page cannot be written.
    """
    single = rows[0] if len(rows) == 1 else None
    body = [_head(rows), *_verdict(rows), *_charts(rows), _table(rows, path), *_states(rows)]
    if single is not None:
        body += _whole(single)
    write_page(path, page(f"{_title(rows)} - PruneFlow report", *body, _foot(rows)))


def headline(rows: Sequence[Row]) -> str:
    """The smallest run that lost next to nothing, or the only one."""
    known = [row for row in rows if row.drop is not None and row.bytes]
    good = known if len(rows) == 1 else _good(known)
    if not known:
        return "No run here has measured its accuracy before and after pruning."
    if not good:
        return "No run here stayed within one point of its dense accuracy."
    best = min(good, key=lambda row: row.bytes or 0)
    at = "" if best.sparsity is None else f" at {100 * best.sparsity:.4g}% sparsity"
    on = f" on {best.data}" if len({row.data for row in good}) > 1 else ""
    size = f", {units.times(1 / best.ratio)} smaller" if best.ratio else ""
    is_faster = best.speedup is not None and best.speedup > 1
    speed = f", {units.times(best.speedup or 1)} as fast as dense" if is_faster else ""
    score, lost = units.percent(best.final), units.points(best.drop or 0)
    known_by = f" ({best.basis})" if best.basis else ""
    name = best.recipe or best.model
    return f"{name}{on}{at}{size}{speed}: {score} accuracy{known_by}, {lost}."


def _good(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if round(row.drop or 0, 6) <= SMALL_LOSS]


def _title(rows: Sequence[Row]) -> str:
    return f"{len(rows)} runs" if len(rows) > 1 else rows[0].recipe or rows[0].folder.name


def _head(rows: Sequence[Row]) -> Markup:
    chips = []
    for word, values in (("recipe", {row.recipe for row in rows}),
                         ("model", {row.model for row in rows}),
                         ("data", {row.data for row in rows}),
                         ("seed", {row.seed for row in rows})):  # fmt: skip
        known = sorted(values - {""})
        if known:
            between = "; " if any(", " in name for name in known) else ", "
            shown = between.join(known) if len(known) <= 4 else str(len(known))
            chips.append(element("li", f"{word}{'s' if len(known) > 1 and word != 'data' else ''} ",
                                 element("b", shown)))  # fmt: skip
    return element("header", element("p", "PruneFlow report", class_="kicker"),
                   element("h1", _title(rows)), element("ul", *chips, class_="chips"))  # fmt: skip


def _verdict(rows: Sequence[Row]) -> list[Markup]:
    if len(rows) == 1 and rows[0].report is not None:
        return []  # its deployment has a verdict of its own
    good = _good([row for row in rows if row.drop is not None])
    parts = [element("p", headline(rows), class_="lead")]
    if len(rows) > 1 and good:
        parts.append(element("p", "The smallest run that lost no more than one point."))
    return [element("section", *parts, class_="verdict" if good else "verdict dense")]


def _charts(rows: Sequence[Row]) -> list[Markup]:
    """A card of charts for each data set: accuracies on two of them do not compare."""
    looks, cards = line_keys(rows), []
    if len(rows) == 1:
        return []
    for data in dict.fromkeys(row.data for row in rows):
        mine = [row for row in rows if row.data == data and row.basis != VALIDATION]
        found = {
            "Accuracy against sparsity": accuracy_chart(mine, looks),
            "Accuracy against size": pareto_chart(mine, looks, lambda row: row.bytes, units.size,
                                                  units.size_tick, "bytes"),
            "Accuracy against latency": pareto_chart(mine, looks, lambda row: row.latency,
                                                     units.duration, units.duration_tick,
                                                     "latency"),
        }  # fmt: skip
        drawn = [chart(title, inner) for title, inner in found.items() if inner is not None]
        if drawn:
            cards.append(section(f"Accuracy on {data}" if data else "Accuracy", charts(*drawn),
                                 note=_note(mine)))  # fmt: skip
    return cards


def _note(rows: Sequence[Row]) -> str:
    note = "Test accuracy. Bands span the runs at one sparsity."
    if any(row.basis == ESTIMATED for row in rows):
        note += (
            " Rings: values narrower than fp32, with what they lost on validation data taken off "
            "the test accuracy of the trained network."
        )
    timed = {(row.timing.place, row.timing.device) for row in rows if row.timing}
    if len(timed) == 1:
        ((place, device),) = timed
        note += f" Latency at {place}{f', on {device}' if device else ''}."
    elif timed:
        note += " Latencies come from different devices or batches: compare them with care."
    return note


def _table(rows: Sequence[Row], path: Path) -> Markup:
    columns = ["recipe", "model", "data", ">seed", ">sparsity", ">dense", ">final", ">points lost",
               ">bytes", ">of dense", ">latency", ">speed-up", "state", "folder"]  # fmt: skip
    note = (
        "Bytes are those of the bundle; in grey, of runs that were not deployed, those that "
        "weights and index would take."
    )
    if any(row.basis == ESTIMATED for row in rows):
        note += " Estimated: the test accuracy less what packing lost on validation data."
    if any(row.basis == VALIDATION for row in rows):
        note += " Validation: not on the test data, and so in no chart."
    title = "Run"
    if len(rows) > 1:
        title, note = "Runs", f"A click on a heading sorts. {note}"
    return section(title, table(title, columns, [_cells(row, path) for row in rows]), note=note)


def _cells(row: Row, path: Path) -> list[Cell | str]:
    counted = "" if row.report else "soft"
    known_by = [element("small", SHORT[row.basis])] if row.basis else []
    return [
        Cell(row.recipe or "-", class_="name"),
        row.model or "-",
        row.data or "-",
        row.seed or "-",
        Cell(units.percent(row.sparsity), row.sparsity),
        Cell(units.percent(row.dense), row.dense),
        Cell(joined((units.percent(row.final), *known_by)), row.final),
        Cell("-" if row.drop is None else f"{row.drop:.2f}", row.drop),
        Cell("-" if row.bytes is None else units.count(row.bytes), row.bytes, counted),
        Cell("-" if row.ratio is None else f"{row.ratio:.1%}", row.ratio, counted),
        Cell("-" if row.latency is None else units.duration(row.latency), row.latency),
        Cell("-" if row.speedup is None else units.times(row.speedup), row.speedup),
        Cell(row.state, class_="" if row.state == COMPLETE else "bad"),
        Cell(element("a", str(runfolder.shown(row.folder)), href=link(row.page, path))),
    ]


def link(target: Path, page: Path) -> str:
    """The way from a page to a file, as a URL that can name no other place than a file."""
    way = os.path.relpath(target.absolute(), page.absolute().parent)
    return f"./{quote(os.fsencode(Path(way).as_posix()))}"


def _states(rows: Sequence[Row]) -> list[Markup]:
    """The runs without a full result, and what that means."""
    found = [row for row in rows if row.state != COMPLETE]
    if not found:
        return []
    items = [
        element("li", element("b", str(runfolder.shown(row.folder))),
                f" {row.state}: {STATES[row.state]}")
        for row in found
    ]  # fmt: skip
    return [section("Without a full result", element("ul", *items),
                    note=f"{len(found)} of {len(rows)} runs.")]  # fmt: skip


def _whole(row: Row) -> list[Markup]:
    found = []
    picture = row.folder / runfolder.PICTURE
    if picture.is_file():
        data = b64encode(picture.read_bytes()).decode("ascii")
        image = element("img", src=f"data:image/png;base64,{data}", alt="Sparsity and accuracy")
        found.append(section("Training", image))
    return [*found, deploy_page.body(row.report)] if row.report is not None else found


def _foot(rows: Sequence[Row]) -> Markup:
    deployed = sum(row.report is not None for row in rows)
    return element("footer", f"{deployed} of {len(rows)} deployed. Written by pruneflow report.")
