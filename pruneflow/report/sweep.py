"""The end of a sweep: one table and one picture, made from its jobs' folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from pruneflow import runfolder
from pruneflow.report.pictures import draw_sweep
from pruneflow.report.tables import sweep_table

PICTURE = "sweep.png"
SUMMARY = "sweep.json"


def summarize(folder: Path, console: Console) -> None:
    """Print a sweep's table and write its picture and summary beside its jobs, if there are any."""
    jobs = [_read(path, folder) for path in runfolder.jobs(folder)]
    if not jobs:
        return
    results = [job["result"] for job in jobs if job["result"] is not None]
    runfolder.write_json(folder / SUMMARY, {"jobs": jobs})
    console.print(sweep_table(jobs))
    if any(result["accuracy"]["final"] is not None for result in results):
        draw_sweep(results, folder / PICTURE)
        console.print(f"Picture: {runfolder.shown(folder / PICTURE)}", soft_wrap=True)


def _read(folder: Path, sweep: Path) -> dict[str, Any]:
    finished = runfolder.is_finished(folder)
    result = runfolder.read_json(folder / runfolder.RESULT) if finished else None
    return {"job": str(folder.relative_to(sweep)), "result": result}
