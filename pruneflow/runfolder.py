"""The folder of one run: what its files are called, and how they are written.

Every file is written beside itself under a temporary name, flushed to the disk and renamed, so
that a name that exists stands for a file that is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from pruneflow.errors import ConfigError, ResumeError
from pruneflow.untrusted import read_text

RUN_LOCK = "run.lock.yaml"
RECIPE_LOCK = "recipe.lock.yaml"
PLAN = "plan.json"
PICTURE = "run.png"
CHECKPOINTS = "checkpoints"
WEIGHTS = "pruned.safetensors"
MASKS = "masks.safetensors"
JOURNAL = "journal.jsonl"
HISTORY = "history.jsonl"
RESULT = "result.json"
DEPLOYED = "deploy"

_JOB = ".job"
_TEMPORARY = ".part"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


def new(folder: Path) -> Path:
    """Make a folder that nobody else has: this one, or where it exists FOLDER-2, FOLDER-3, ..."""
    for number in count(1):
        mine = folder if number == 1 else Path(f"{folder}-{number}")
        with suppress(FileExistsError):
            mine.mkdir(parents=True)
            return mine
    raise AssertionError


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        place: Its folder in the sweep.
        home: Its run's folder: that one, or one of an earlier sweep.
        failure: Why it broke down, if it did.
    """

    place: Path
    home: Path
    failure: str | None = None


def mark_job(place: Path, home: Path | None = None, failure: str | None = None) -> None:
    """Say that a sweep put a job here, whatever becomes of it.

    Args:
        place: The job's folder in the sweep.
        home: Where its run is, if an earlier sweep has it.
        failure: Why it broke down.
    """
    elsewhere = None if home in (None, place) else os.path.relpath(home or "", place)
    mark = {"home": elsewhere, "failure": failure}
    write_bytes(place / _JOB, json.dumps(mark).encode())


def mark_failed(place: Path, failure: str) -> None:
    """Say why a job broke down."""
    mark_job(place, _job(place).home, failure)


def sweep_jobs(sweep: Path) -> list[Job]:
    """The jobs of a sweep, those that died at once included.

    A run that is not beside the sweep, where its earlier ones are, is none of its own.
    """
    places = {path.parent for name in (_JOB, RUN_LOCK) for path in sweep.rglob(name)}
    around = sweep.absolute().parent.resolve()
    found = [_job(place) for place in sorted(places, key=lambda p: _natural(str(p)))]
    return [job if _lies_in(job.home, around) else replace(job, home=job.place) for job in found]


def _lies_in(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):  # no path at all, or a circle of links
        return False


def jobs(sweep: Path) -> list[Path]:
    """The run folders of a sweep's jobs, each once; those of earlier sweeps included."""
    return list(dict.fromkeys(job.home for job in sweep_jobs(sweep)))


def _job(place: Path) -> Job:
    try:
        mark = json.loads(read_text(place / _JOB))
        home = place if mark["home"] is None else Path(os.path.normpath(place / mark["home"]))
        return Job(place, home, mark["failure"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Job(place, place)


def _natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts 2 before 10."""
    return [(int(digits or 0), word) for word, digits in re.findall(r"(\D*)(\d*)", text)]


def require_unused(folder: Path) -> None:
    """Make sure that no run began in a folder.

    Raises:
        ResumeError: One did.
    """
    if has_begun(folder):
        raise ResumeError(
            f"{shown(folder)} belongs to an earlier run; continue that with "
            f"{shlex.quote(f'run={shown(folder)}')} ckpt_path=last, or choose another hydra.run.dir"
        )


def has_begun(folder: Path) -> bool:
    """Whether a run began in this folder."""
    return (folder / RUN_LOCK).is_file()


def shown(path: Path, home: Path | None = None) -> Path:
    """A path as a person in the folder ``home`` would write it; by default where we are."""
    home = (home or Path()).absolute()
    return path.relative_to(home) if path.is_relative_to(home) else path


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Context: say in plain words that the folder a person named cannot be written.

    Raises:
        ConfigError: In place of an ``OSError`` about this folder, or about the disk.
    """
    try:
        yield
    except OSError as error:
        named = isinstance(error.filename, str | bytes)
        path = Path(os.fsdecode(error.filename)) if named else folder
        here, there = folder.absolute(), path.absolute()
        ours = there.is_relative_to(here) or here.is_relative_to(there)
        if error.errno not in _DISK and not (named and ours):
            raise
        path = path.with_name(re.sub(rf"\.\d+{_TEMPORARY}$", "", path.name))
        text = f"{shown(path)}: cannot be written: {error.strerror or error}"
        raise ConfigError(text) from None


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder came to its end."""
    return (folder / RESULT).is_file()


def temporary(path: Path) -> Path:
    """The name under which a file is written before it is whole."""
    return path.with_name(f"{path.name}.{os.getpid()}{_TEMPORARY}")


def sweep_temporaries(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for leftover in folder.glob(f"*{_TEMPORARY}*"):
        with suppress(OSError):
            leftover.unlink()


def publish(part: Path, path: Path) -> None:
    """Give a finished temporary file its name, durably."""
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(part, path)
    with suppress(OSError):  # not every system can open a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sha256(path: Path) -> str:
    """The hash of a file's content.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path)
    part.unlink(missing_ok=True)
    try:
        with part.open("xb") as stream:  # follows no link that somebody has put there
            stream.write(data)
        publish(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write indented JSON."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_json_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON value a line."""
    write_bytes(path, "".join(json.dumps(value) + "\n" for value in values).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ResumeError: It is absent or damaged.
    """
    try:
        value = json.loads(read_text(path))
    except OSError as error:
        raise ResumeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ResumeError(f"{path}: is damaged: {error}") from None
    except RecursionError:
        raise ResumeError(f"{path}: is damaged: nested too deeply") from None
    if not isinstance(value, dict):
        raise ResumeError(f"{path}: is damaged: not an object")
    return value
