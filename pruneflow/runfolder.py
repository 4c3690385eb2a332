"""The folder of one run: what its files are called, and how they are written.

Every file is written beside itself under a temporary name, flushed to the disk and renamed, so
that a name that exists stands for a file that is whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pruneflow.errors import ResumeError

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

_CLAIM = ".claimed"
_TEMPORARY = ".part"


def claim(folder: Path) -> None:
    """Make a run folder one's own.

    Raises:
        ResumeError: Another run has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / _CLAIM).touch(exist_ok=False)
    except FileExistsError:
        raise ResumeError(
            f"{folder} belongs to an earlier run; continue that with "
            f"'run={folder} ckpt_path=last', or choose another hydra.run.dir"
        ) from None


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


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = temporary(path)
    try:
        part.write_bytes(data)
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
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResumeError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ResumeError(f"{path}: is damaged: {error}") from None
    if not isinstance(value, dict):
        raise ResumeError(f"{path}: is damaged: not an object")
    return value
