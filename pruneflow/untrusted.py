"""Files that anybody may have written: read within bounds, no link followed out of their folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pruneflow.errors import ResumeError

LARGEST = 2**26
"""Bytes of a text file that is read: 64 MiB."""


def read_text(path: Path, largest: int = LARGEST) -> str:
    """A text file's content.

    Args:
        path: The file; a link to another one in the same folder is followed.
        largest: Bytes it may have.

    Raises:
        OSError: It is absent or cannot be read.
        ValueError: It is no file, larger, a link that leads elsewhere, or no UTF-8.
    """
    if is_way_out(path, path.parent):
        raise ValueError("it is a link out of its folder")
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as stream:
        data = stream.read(largest + 1)
    if len(data) > largest:
        raise ValueError(f"it is larger than {largest / 2**20:g} MiB")
    return data.decode("utf-8")


def is_way_out(path: Path, folder: Path) -> bool:
    """Whether a path is a symbolic link to something that is not in the folder."""
    if not path.is_symlink():
        return False
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a link to itself
        return True


def require_confined(folder: Path) -> None:
    """Make sure that what is written below a folder stays there, before anything is.

    The folder may be a link itself: that is who names it who says so.

    Raises:
        ResumeError: A symbolic link in it leads out of it.
    """
    for path in _links(folder):
        if is_way_out(path, folder):
            raise ResumeError(
                f"{path}: is a link out of the run's folder, where nothing is written or read: "
                "put what it leads to in its place, or delete it"
            )


def _links(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        paths = (Path(here, name) for name in (*folders, *files))
        yield from (path for path in paths if path.is_symlink())
