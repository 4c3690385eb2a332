"""Folders of runs, and files, as candidates."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pruneflow import runfolder
from pruneflow.cli.completing.keys import Words

OUTPUTS = "outputs"
SWEEP = "sweep.json"
MOST_FOLDERS = 5_000
DEEPEST = 4


def files(text: str, *endings: str) -> Words:
    """The files and folders that a path goes on to; with endings, only files that end so."""
    head = text[: text.rfind("/") + 1]
    found: Words = {}
    with suppress(OSError), os.scandir(head or ".") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            hidden = entry.name.startswith(".") and not text[len(head) :].startswith(".")
            if not hidden and entry.is_dir():
                found[f"{head}{entry.name}/"] = ""
            elif not hidden and (not endings or entry.name.endswith(endings)):
                found[head + entry.name] = ""
    return found


def folders(text: str) -> Words:
    """The folders that a path goes on to."""
    return {path: "" for path in files(text) if path.endswith("/")}


def runs(text: str, with_sweeps: bool = False) -> Words:
    """The runs below ``outputs/``, and sweeps where they serve too; else folders."""
    found = {str(path): "" for path in _runs(with_sweeps) if str(path).startswith(text)}
    return found or folders(text)


def checkpoints(text: str) -> Words:
    """The checkpoints of the runs below ``outputs/``; else files."""
    kept = (path / runfolder.CHECKPOINTS for path in _runs(False))
    found = {f"{path}/": "" for path in kept if f"{path}/".startswith(text) and path.is_dir()}
    return {"last": "the newest checkpoint of the run"} | (found or files(text, ".ckpt"))


def _runs(with_sweeps: bool) -> Iterator[Path]:
    """Every run below ``outputs/``, as far as that is looked through in no time."""
    for seen, (folder, below, names) in enumerate(os.walk(OUTPUTS)):
        path = Path(folder)
        is_run = runfolder.RUN_LOCK in names
        if is_run or (with_sweeps and SWEEP in names):
            yield path
        if is_run or len(path.parts) > DEEPEST:
            below.clear()
        if seen >= MOST_FOLDERS:
            return
        below.sort()
