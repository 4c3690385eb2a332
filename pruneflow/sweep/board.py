"""What the jobs of a sweep tell of themselves, in this process or another: a small file each."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.report.live import FAILED, FINISHED, RUNNING, JobState

FOLDER = ".status"


class Notes:
    """A job's side: it writes down where it is.

    Args:
        sweep: The sweep's folder.
        number: The job's.
    """

    def __init__(self, sweep: Path, number: int) -> None:
        self.path = sweep / FOLDER / f"{number}.json"
        self.now = JobState(RUNNING, "starting")
        self._write()

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Write down what ``training.progress.Watch`` is told."""
        self.now = replace(self.now, state=RUNNING, **progress)
        self._write()

    def finished(self, result: Mapping[str, Any], phase: str = "finished") -> None:
        """Write down how it ended."""
        self.now = replace(
            self.now,
            state=FINISHED,
            phase=phase,
            sparsity=result["sparsity"],
            accuracy=result["accuracy"]["final"],
        )
        self._write()

    def failed(self, message: str) -> None:
        """Write down what went wrong."""
        self.now = replace(self.now, state=FAILED, phase="failed", message=message)
        self._write()

    def _write(self) -> None:
        """Write a file whole, but not to the disk at once: it is gone when the sweep is."""
        self.now = replace(self.now, changed=time.time())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = runfolder.temporary(self.path)
        part.write_text(json.dumps(asdict(self.now)), encoding="utf-8")
        os.replace(part, self.path)


def read(sweep: Path) -> dict[int, JobState]:
    """Where the jobs of a sweep are, as far as they have told."""
    states = {}
    for path in (sweep / FOLDER).glob("*.json"):
        try:
            states[int(path.stem)] = JobState(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # another version's, or gone meanwhile
            continue
    return states


def clear(sweep: Path) -> None:
    """Forget what jobs have told."""
    shutil.rmtree(sweep / FOLDER, ignore_errors=True)
