"""The checkpoint of another run that a run begins from, known by its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneflow import runfolder, tensor_file
from pruneflow.errors import ResumeError


@dataclass(frozen=True)
class StartingPoint:
    """A checkpoint and what was in it.

    Attributes:
        checkpoint: The file's full path.
        sha256: Of its content.
    """

    checkpoint: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> StartingPoint:
        """A file as it is now.

        Raises:
            ResumeError: There is none.
        """
        return cls(str(path.absolute()), _sha256(path))

    @classmethod
    def from_lock(cls, entry: Mapping[str, Any] | None) -> StartingPoint | None:
        """What ``to_lock`` wrote."""
        return None if entry is None else cls(str(entry["checkpoint"]), str(entry["sha256"]))

    def to_lock(self) -> dict[str, str]:
        """Plain data."""
        return {"checkpoint": self.checkpoint, "sha256": self.sha256}

    def find(self) -> Path:
        """The file, still the same.

        Raises:
            ResumeError: It is gone, its content is another, or it would fill the memory.
        """
        path = Path(self.checkpoint)
        if _sha256(path) != self.sha256:
            raise ResumeError(f"{path}: has changed since the run began from it")
        try:
            tensor_file.require_bounded(path)
        except (OSError, ValueError) as error:
            raise ResumeError(f"ckpt_path: {path}: cannot be loaded: {error}") from None
        return path


def _sha256(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ResumeError(f"ckpt_path: {path}: is no file")
    try:
        return runfolder.sha256(path)
    except FileNotFoundError:
        raise ResumeError(f"ckpt_path: no file '{runfolder.shown(path)}'") from None
    except OSError as error:
        raise ResumeError(f"ckpt_path: {path}: cannot be read: {error.strerror}") from None
