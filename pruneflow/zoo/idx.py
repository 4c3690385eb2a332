"""Data sets in MNIST's format: images and labels in gzipped IDX files, checked byte by byte."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from pruneflow.zoo.files import Source, has_md5, unreadable

SPLITS = ("train", "t10k")
MOST_BYTES = 2**26
"""The largest file, 60,000 images, has 47 million, packed or not."""


class Checksums(NamedTuple):
    """Of a file.

    Attributes:
        archive: MD5 of the gzipped file, as published.
        content: SHA-256 of the unpacked file, or None where nobody published what it holds: then
            only the gzipped file is read.
    """

    archive: str
    content: str | None = None


@dataclass(frozen=True)
class IdxFiles:
    """Four files: images and labels for training and for the test.

    Attributes:
        source: Where they come from.
        checksums: Of every file, by its name when it is unpacked.
    """

    source: Source
    checksums: Mapping[str, Checksums]

    def load(self, root: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, 1, 28, 28) and labels (n,) as bytes.

        Args:
            root: The folder that holds the data set's folder, as torchvision lays it out, or the
                files.
            split: ``train`` or ``t10k``.

        Raises:
            DataError: A file is absent and cannot be downloaded, or it is not what it should be.
        """
        images = np.frombuffer(self._read(root, f"{split}-images-idx3-ubyte"), np.uint8, offset=16)
        labels = np.frombuffer(self._read(root, f"{split}-labels-idx1-ubyte"), np.uint8, offset=8)
        return images.reshape(-1, 1, 28, 28), labels

    def _read(self, root: Path, name: str) -> bytes:
        expected, packed = self.checksums[name], f"{name}.gz"
        names = (packed,) if expected.content is None else (name, packed)
        path = self.source.find(root, *names)
        path = path or self.source.download(root, packed, f"md5:{expected.archive}")
        try:
            with path.open("rb") as stream:
                data = self._bounded(stream, path)
            if expected.content is None:
                self.source.require(has_md5(data, expected.archive), path)
            content = data
            if path.suffix == ".gz":
                with gzip.open(io.BytesIO(data)) as unpacking:
                    content = self._bounded(unpacking, path)
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(path, error) from None
        if expected.content is not None:
            self.source.require(hashlib.sha256(content).hexdigest() == expected.content, path)
        return content

    def _bounded(self, stream: BinaryIO | gzip.GzipFile, path: Path) -> bytes:
        """A stream's content, which no published file is longer than."""
        content = stream.read(MOST_BYTES + 1)
        self.source.require(len(content) <= MOST_BYTES, path)
        return content
