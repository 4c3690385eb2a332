"""What the processes of one run tell each other, and who started them: files in its folder.

They are ``task.json``, what there is to do; for each process ``rankN.json``, what has become of
it, and ``rankN.log``, what it wrote; ``progress.json``, where the run is, and ``warnings.log``,
both by process 0 for whoever looks on; and ``launcher.log``, by torch, which started them.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.errors import ResumeError
from pruneflow.training.config import RunConfig
from pruneflow.user_code import make_importable

FOLDER = "ranks"
LAUNCHER = "launcher.log"
WARNINGS = "warnings.log"

RUNNING, FINISHED, FAILED, ENDED = "running", "finished", "failed", "ended"

_TASK = "task.json"
_PROGRESS = "progress.json"


@dataclass(frozen=True)
class Task:
    """A run that several processes are to train together.

    Attributes:
        config: What to do, as locked.
        folder: Where everything goes.
        checkpoint: What it begins from, if anything.
        name: Begins every line that is told of it.
        watched: Whether somebody wants to know where it is.
    """

    config: RunConfig
    folder: Path
    checkpoint: Path | None
    name: str
    watched: bool

    def write(self) -> Path:
        """Write it down, in place of an earlier one, and return where."""
        place = self.folder / FOLDER
        for old in (*place.glob("*.json"), place / WARNINGS):
            old.unlink(missing_ok=True)
        told = {
            "folder": str(self.folder.absolute()),
            "home": str(self.config.home.absolute()),
            "checkpoint": self.checkpoint and str(self.checkpoint.absolute()),
            "name": self.name,
            "watched": self.watched,
            "lock": self.config.to_lock(),
        }
        runfolder.write_json(place / _TASK, told)
        return place / _TASK

    @classmethod
    def read(cls, path: Path) -> Task:
        """What ``write`` wrote, checked as if a person had written it.

        Raises:
            UserError: It is absent, damaged, or does not say what it said.
        """
        told = runfolder.read_json(path)
        try:
            home, lock, checkpoint = Path(told["home"]), told["lock"], told["checkpoint"]
            if lock["config"]["imports"]:
                make_importable(home)
            config = RunConfig.from_lock(lock, home)
            if config.digest != lock["config_hash"]:
                raise ResumeError(f"{path}: says something else than what was to be done")
            found = None if checkpoint is None else Path(checkpoint)
            return cls(config, Path(told["folder"]), found, told["name"], told["watched"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ResumeError(f"{path}: is damaged: {error!r}") from None


@dataclass(frozen=True)
class Fate:
    """What has become of a process.

    Attributes:
        state: ``running``, ``finished``, ``failed``, or ``ended`` because it was asked to.
        process: Its number in the operating system.
        at: When that was, in seconds.
        kind: The class of what it failed by.
        message: What that said.
    """

    state: str
    process: int
    at: float
    kind: str = ""
    message: str = ""


def note(folder: Path, rank: int, state: str, error: BaseException | None = None) -> None:
    """In a process: write down what becomes of it."""
    kind, message = ("", "") if error is None else (type(error).__name__, str(error))
    fate = Fate(state, os.getpid(), time.time(), kind, message)
    runfolder.write_json(_fate(folder, rank), asdict(fate))


def fates(folder: Path, count: int) -> list[Fate | None]:
    """What has become of each process; None of one that never came so far as to tell."""
    return [_read_fate(_fate(folder, rank)) for rank in range(count)]


def log(folder: Path, rank: int) -> Path:
    """What a process wrote."""
    return folder / FOLDER / f"rank{rank}.log"


def tell(folder: Path, progress: Mapping[str, Any]) -> None:
    """In a process: write down where the run is; it need not outlive a crash of the machine."""
    path = folder / FOLDER / _PROGRESS
    part = runfolder.temporary(path)
    part.write_text(json.dumps(progress), encoding="utf-8")
    os.replace(part, path)


def told(folder: Path) -> dict[str, Any] | None:
    """Where the run is, if it has told."""
    with suppress(ResumeError):
        return runfolder.read_json(folder / FOLDER / _PROGRESS)
    return None


def _fate(folder: Path, rank: int) -> Path:
    return folder / FOLDER / f"rank{rank}.json"


def _read_fate(path: Path) -> Fate | None:
    try:
        return Fate(**runfolder.read_json(path))
    except (ResumeError, TypeError):
        return None
