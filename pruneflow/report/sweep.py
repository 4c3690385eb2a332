"""The end of a sweep: one table and one picture, made from its jobs' folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console

from pruneflow import runfolder
from pruneflow.errors import UserError
from pruneflow.report.curves import curves, overrides
from pruneflow.report.printable import printable
from pruneflow.report.record import Record
from pruneflow.report.sweep_picture import draw_sweep
from pruneflow.report.tables import curves_table, sweep_table

PICTURE = "sweep.png"
SUMMARY = "sweep.json"


def summarize(folder: Path, console: Console) -> None:
    """Print a sweep's table and write its picture and summary beside its jobs, if there are any."""
    jobs = [_read(job, folder) for job in runfolder.sweep_jobs(folder)]
    if not jobs:
        return
    runfolder.write_json(folder / SUMMARY, {"jobs": jobs})
    console.print(sweep_table(jobs))
    for job in jobs:
        if job["failure"]:
            console.print(printable(f"job {job['job']} failed: {job['failure']}"))
    if found := curves(jobs):
        if any(len(point.scores) > 1 for curve in found for point in curve.points):
            console.print(curves_table(found))
        draw_sweep(found, folder / PICTURE)
        console.print(f"Picture: {runfolder.shown(folder / PICTURE)}", soft_wrap=True)


def _read(job: runfolder.Job, sweep: Path) -> dict[str, Any]:
    """What is told of a job; one whose result is damaged has failed, and hides no other."""
    result, failure = None, job.failure
    try:
        result = _result(job.home) if runfolder.is_finished(job.home) else None
    except UserError as error:
        failure = str(error)
    return {
        "job": str(job.place.relative_to(sweep)),
        "run": os.path.relpath(job.home, sweep),
        "overrides": overrides(job.place) or overrides(job.home),
        "failure": failure,
        "result": result,
    }


def _result(run: Path) -> dict[str, Any]:
    """A result that says what the table and the picture need."""
    path = run / runfolder.RESULT
    result = runfolder.read_json(path)
    told = Record.of(result, str(path))
    told.text("recipe")
    told.text("control", "none")
    for key in ("seed", "steps", "sparsity"):
        told.number(key)
    told.record("compression").number("bytes")
    scores = {key: told.record("accuracy").optional(key) for key in ("dense", "pruned", "final")}
    return {**result, "accuracy": {**result.get("accuracy", {}), **scores}}
