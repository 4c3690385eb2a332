"""MNIST's files: found, downloaded where absent, and checked byte by byte (LeCun et al. 1998)."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np

from pruneflow.errors import DataError

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"

# SHA-256 of the unpacked file, and MD5 of the archive as published.
FILES = {
    "train-images-idx3-ubyte": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    "train-labels-idx1-ubyte": (
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    "t10k-images-idx3-ubyte": (
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    "t10k-labels-idx1-ubyte": (
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
}


def default_root() -> Path:
    """``$PRUNEFLOW_DATA``, or ``./data``."""
    return Path(os.environ.get("PRUNEFLOW_DATA", "data"))


def load(root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28) and labels (n,) as bytes.

    Args:
        root: The folder that holds ``MNIST/raw``, as torchvision lays it out, or the files.
        split: ``train`` or ``t10k``.

    Raises:
        DataError: A file is absent and cannot be downloaded, or it is not what it should be.
    """
    images = np.frombuffer(_read(root, f"{split}-images-idx3-ubyte"), np.uint8, offset=16)
    labels = np.frombuffer(_read(root, f"{split}-labels-idx1-ubyte"), np.uint8, offset=8)
    return images.reshape(-1, 28, 28), labels


def _read(root: Path, name: str) -> bytes:
    path = _find(root, name) or _download(root, name)
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if hashlib.sha256(content).hexdigest() != FILES[name][0]:
        raise DataError(
            f"{path}: is damaged (its checksum differs); delete it, and it is downloaded again"
        )
    return content


def _find(root: Path, name: str) -> Path | None:
    for folder in (root / "MNIST" / "raw", root):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def _download(root: Path, name: str) -> Path:
    import pooch

    folder = root / "MNIST" / "raw"
    pooch.get_logger().setLevel("WARNING")
    try:
        file = pooch.retrieve(
            f"{URL}{name}.gz", f"md5:{FILES[name][1]}", f"{name}.gz", folder, progressbar=_bar()
        )
    except Exception as error:
        raise DataError(
            f"MNIST is not in {folder} and cannot be downloaded ({type(error).__name__}). Put "
            f"its four files there, gzipped or not, or say where they are: data.root=FOLDER or "
            "PRUNEFLOW_DATA=FOLDER"
        ) from None
    return Path(file)


def _bar() -> object:
    """A rich progress bar in the form that pooch drives."""
    from rich.progress import Progress

    class Bar:
        def __init__(self) -> None:
            self.progress = Progress(transient=True)
            self.task = self.progress.add_task("Downloading MNIST")
            self.total = 0

        def update(self, count: int) -> None:
            self.progress.start()
            self.progress.update(self.task, total=self.total, advance=count)

        def reset(self) -> None:
            self.progress.reset(self.task)

        def close(self) -> None:
            self.progress.stop()

    return Bar()
