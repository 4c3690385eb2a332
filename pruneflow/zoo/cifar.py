"""CIFAR-10 from its binary archive, which is checked and read without unpacking it to disk."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path

import numpy as np

from pruneflow import runfolder
from pruneflow.errors import DataError
from pruneflow.zoo.files import Source, unreadable
from pruneflow.zoo.image_data import DATA, Arrays, ByteArrays, ByteImages, splits_of

ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
SOURCE = Source(
    "CIFAR-10",
    "https://www.cs.toronto.edu/~kriz/",
    "CIFAR10",
    f"{ARCHIVE} (the binary version, as it is published)",
)

FOLDER = "cifar-10-batches-bin"
TRAINING = tuple(f"{FOLDER}/data_batch_{number}.bin" for number in range(1, 6))
TEST = f"{FOLDER}/test_batch.bin"
PIXELS = 3 * 32 * 32
RECORDS = 10_000
"""In each of the archive's files; a record is a label and the planes red, green and blue."""


@DATA.register("cifar10")
class CIFAR10(ByteImages):
    """60,000 photographs of 32 x 32 pixels in ten classes (Krizhevsky 2009)."""

    sizes = {"train": 45_000, "val": 5_000, "test": 10_000}  # noqa: RUF012
    channels, size = 3, 32
    mean, deviation = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    preprocessing = {  # noqa: RUF012
        "channels": "RGB", "divide_by": 255,
        "subtract": list(mean), "then_divide_by": list(deviation),
    }  # fmt: skip

    def load(self) -> dict[str, Arrays]:
        """See base class."""
        path = SOURCE.find(self.root, ARCHIVE)
        path = path or SOURCE.download(self.root, ARCHIVE, f"sha256:{SHA256}")
        batches = read(path)
        images, labels = zip(*(batches[name] for name in TRAINING), strict=True)
        return splits_of(
            (np.concatenate(images), np.concatenate(labels)), batches[TEST], self.sizes
        )


def read(path: Path) -> dict[str, ByteArrays]:
    """Images (n, 3, 32, 32) and labels (n,) of every file of the archive.

    Raises:
        DataError: It cannot be read, or it is not the archive that was published.
    """
    try:
        SOURCE.require(runfolder.sha256(path) == SHA256, path)
        with tarfile.open(path, "r|gz") as archive:
            found = {
                member.name: _batch(archive.extractfile(member).read())  # type: ignore[union-attr]
                for member in archive
                if member.name in (*TRAINING, TEST) and _is_whole(member)
            }
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise unreadable(path, error) from None
    for name in (*TRAINING, TEST):
        if name not in found or found[name][1].max() > 9:
            raise DataError(f"{path}: holds no {name} of {RECORDS:,} labelled images")
    return found


def _is_whole(member: tarfile.TarInfo) -> bool:
    return member.isreg() and member.size == RECORDS * (1 + PIXELS)


def _batch(content: bytes) -> ByteArrays:
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, 1 + PIXELS)
    return records[:, 1:].reshape(RECORDS, 3, 32, 32), records[:, 0]
