"""Files of published data sets: found where people keep them, or downloaded."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from pruneflow.errors import DataError


def default_root() -> Path:
    """``$PRUNEFLOW_DATA``, or ``./data``."""
    return Path(os.environ.get("PRUNEFLOW_DATA", "data"))


@dataclass(frozen=True)
class Source:
    """Where a data set comes from, and where it is kept.

    Attributes:
        title: Its name, for people.
        url: Where it is published; a file's name is put behind it.
        folder: Where its files are below the root.
        files: What a person has to put there.
    """

    title: str
    url: str
    folder: str
    files: str

    def find(self, root: Path, *names: str) -> Path | None:
        """The first of these files that is in the data set's folder, else in the root itself."""
        for folder in (root / self.folder, root):
            for name in names:
                if (folder / name).is_file():
                    return folder / name
        return None

    def download(self, root: Path, name: str, checksum: str) -> Path:
        """Fetch a file into the data set's folder, and check it.

        Args:
            root: The folder of all data sets.
            name: The file's.
            checksum: What it has to have, e.g. ``md5:0123...``.

        Raises:
            DataError: It could not be fetched, or is not what it should be.
        """
        import pooch

        folder = root / self.folder
        pooch.get_logger().setLevel("WARNING")
        try:
            found = pooch.retrieve(
                f"{self.url}{name}", checksum, name, folder, progressbar=_bar(self.title)
            )
        except Exception as error:
            raise DataError(
                f"{self.title} is not in {folder} and cannot be downloaded "
                f"({type(error).__name__}). Put {self.files} there, or name another folder: "
                "data.root=FOLDER or PRUNEFLOW_DATA=FOLDER"
            ) from None
        return Path(found)

    def require(self, matches: bool, path: Path) -> None:
        """Refuse a file with another checksum.

        Raises:
            DataError: ``matches`` is false.
        """
        if not matches:
            raise DataError(
                f"{path}: is damaged, or not {self.title} (its checksum differs); delete it, and "
                "it is downloaded again"
            )


def unreadable(path: Path, error: Exception) -> DataError:
    """What to raise where reading or unpacking a file fails."""
    return DataError(f"{path}: cannot be read: {error}")


def has_md5(data: bytes, expected: str) -> bool:
    """Whether bytes have this MD5, which many data sets are published with."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest() == expected


def _bar(title: str) -> object:
    """A rich progress bar in the form that pooch drives."""
    from rich.progress import Progress

    class Bar:
        def __init__(self) -> None:
            self.progress = Progress(transient=True)
            self.task = self.progress.add_task(f"Downloading {title}")
            self.total = 0

        def update(self, count: int) -> None:
            self.progress.start()
            self.progress.update(self.task, total=self.total, advance=count)

        def reset(self) -> None:
            self.progress.reset(self.task)

        def close(self) -> None:
            self.progress.stop()

    return Bar()
