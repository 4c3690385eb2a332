"""Runs, found in folders: what each one is, what it reached, and what its deployment measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pruneflow import runfolder
from pruneflow.errors import DataError
from pruneflow.report.curves import kind, overrides, told_apart
from pruneflow.report.deploy_view import FILE, SCHEMA, opened, timing
from pruneflow.report.gathered_row import (
    COMPLETE,
    ESTIMATED,
    FAILED,
    INCOMPLETE,
    UNFINISHED,
    VALIDATION,
    Row,
)
from pruneflow.report.record import Record

DEPLOYED = "deploy"


def collect(folders: Iterable[Path]) -> list[Row]:
    """Every run in or below some folders, each once, in the folders' natural order.

    Raises:
        DataError: A folder is not there or holds no run, or a file of a run is damaged.
        ResumeError: A file of a run cannot be read.
    """
    found: dict[Path, Row] = {}
    for folder in folders:
        try:
            homes = _homes(home_of(folder))
        except OSError as error:
            text = f"{runfolder.shown(folder)}: cannot be read: {error.strerror or error}"
            raise DataError(text) from None
        if not homes:
            absent = "no such folder" if not folder.exists() else "no runs in it or below it"
            raise DataError(f"{runfolder.shown(folder)}: {absent}")
        for home in homes:
            found.setdefault(home.resolve(), _row(home))
    return _told_apart(list(found.values()))


def home_of(folder: Path) -> Path:
    """The run's folder where the folder of its deployment is meant."""
    return folder.parent if folder.name == DEPLOYED and (folder / FILE).is_file() else folder


def _told_apart(rows: Sequence[Row]) -> list[Row]:
    """The same rows; what their command lines set differently stands behind the recipe."""
    said = [{"overrides": overrides(row.folder)} for row in rows]
    settings = told_apart(said, but=("model", "data"))
    return [
        replace(row, recipe=", ".join([row.recipe, *mine])) if row.recipe else row
        for row, mine in zip(rows, settings, strict=True)
    ]


def _homes(folder: Path) -> list[Path]:
    """The folders of runs and of deployed networks, in or below a folder."""
    begun = runfolder.jobs(folder)
    others = {path.parent for path in folder.rglob(runfolder.RESULT)}
    others |= {home_of(path.parent) for path in folder.rglob(FILE) if _is_ours(path)}
    return [*begun, *sorted(others.difference(begun))]


def _is_ours(path: Path) -> bool:
    if path.parent.name == DEPLOYED:
        return True
    with path.open("rb") as stream:
        return SCHEMA.encode() in stream.read(4096)


def _row(folder: Path) -> Row:
    reports = (folder / DEPLOYED / FILE, folder / FILE)
    report = next((path for path in reports if path.is_file() and _is_ours(path)), None)
    if runfolder.is_finished(folder):
        row = _finished(folder, _read(folder / runfolder.RESULT))
    elif runfolder.has_begun(folder):
        plan = folder / runfolder.PLAN
        recipe = _read(plan).text("recipe", "") if plan.is_file() else ""
        row = Row(folder, UNFINISHED, recipe)
    else:
        row = Row(folder, FAILED if report is None else COMPLETE)
    return row if report is None else _deployed(row, _read(report))


def _finished(folder: Path, result: Record) -> Row:
    sizes = [layer.record("bytes") for layer in result.named("layers").values()]
    scores = result.record("accuracy")
    return Row(
        folder,
        COMPLETE if result.text("status") == "complete" else INCOMPLETE,
        recipe=kind(result.text("recipe"), result.text("control", "none")),
        model=result.text("model"),
        data=result.text("data"),
        seed=result.shown("seed"),
        sparsity=result.number("sparsity"),
        dense=scores.optional("dense"),
        final=scores.optional("final"),
        bytes=sum(size.number("packed") for size in sizes),
        dense_bytes=sum(size.number("dense") for size in sizes),
    )


def _deployed(row: Row, values: Record) -> Row:
    report = opened(values.values, values.where)
    bundle, source = report.record("bundle"), report.record("source")
    final, basis = _accuracy(row, report)
    return replace(
        row,
        recipe=row.recipe or source.text("recipe", "") or report.text("name", ""),
        model=row.model or source.text("model", ""),
        data=row.data or source.text("data", ""),
        sparsity=report.number("sparsity") if row.sparsity is None else row.sparsity,
        final=final,
        bytes=bundle.number("bytes"),
        dense_bytes=bundle.number("dense_bytes"),
        timing=timing(report),
        report=report,
        basis=basis,
    )


def _accuracy(row: Row, report: Record) -> tuple[float | None, str]:
    """The accuracy of what was packed, and how it is known.

    The test data saw the trained network; what narrower values lost was measured on other data.
    """
    scores = report.record("accuracy")
    before, after = scores.optional("before"), scores.optional("after")
    if row.final is None:
        return after, VALIDATION if after is not None else ""
    if report.text("values", "fp32") == "fp32":
        return row.final, ""
    if before is None or after is None:
        return None, ""
    return min(1.0, max(0.0, row.final - (before - after))), ESTIMATED


def _read(path: Path) -> Record:
    return Record.of(runfolder.read_json(path), str(runfolder.shown(path)))
