"""The end of a sweep: one table and one picture, made from its jobs' folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console

from pruneflow import runfolder
from pruneflow.errors import ResumeError
from pruneflow.report.curves import curves, overrides
from pruneflow.report.printable import printable
from pruneflow.report.sweep_picture import draw_sweep
from pruneflow.report.tables import curves_table, sweep_table

PICTURE = "sweep.png"
SUMMARY = "sweep.json"
TOLD = ("recipe", "seed", "sparsity", "accuracy", "compression")
"""What the table needs of a result."""


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
    return {
        "job": str(job.place.relative_to(sweep)),
        "run": os.path.relpath(job.home, sweep),
        "overrides": overrides(job.place) or overrides(job.home),
        "failure": job.failure,
        "result": _result(job.home) if runfolder.is_finished(job.home) else None,
    }


def _result(run: Path) -> dict[str, Any]:
    path = run / runfolder.RESULT
    result = runfolder.read_json(path)
    if absent := [key for key in TOLD if key not in result]:
        raise ResumeError(f"{path}: is damaged: it does not say '{absent[0]}'")
    return result
