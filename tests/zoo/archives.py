"""Archives of a few images, each like the one that is published, for tests without a network."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from pruneflow.zoo import cifar
from pruneflow.zoo.cifar import CIFAR10
from pruneflow.zoo.idx import Checksums
from pruneflow.zoo.mnist import IdxImages

CIFAR_FILES = (*cifar.TRAINING, cifar.TEST)


def small_idx(
    patch: pytest.MonkeyPatch, data: type[IdxImages], train: int = 8, test: int = 5
) -> dict[str, bytes]:
    """The four files of a data set with fewer images, unpacked; their checksums are expected."""
    random, content = np.random.default_rng(0), {}
    for split, count in (("train", train), ("t10k", test)):
        images = random.integers(0, 256, count * 784, np.uint8)
        content[f"{split}-images-idx3-ubyte"] = bytes(16) + images.tobytes()
        content[f"{split}-labels-idx1-ubyte"] = bytes(8) + bytes(n % 10 for n in range(count))
    known = {
        name: Checksums(
            hashlib.md5(gzip.compress(file, mtime=0)).hexdigest(),
            data.files.checksums[name].content and hashlib.sha256(file).hexdigest(),
        )
        for name, file in content.items()
    }
    patch.setattr(data, "files", replace(data.files, checksums=known))
    patch.setattr(data, "sizes", {"train": train - 2, "val": 2, "test": test})
    return content


def write_idx(folder: Path, content: Mapping[str, bytes], packed: bool = True) -> None:
    """Put files there, gzipped or not."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in content.items():
        data = gzip.compress(file, mtime=0) if packed else file
        (folder / (f"{name}.gz" if packed else name)).write_bytes(data)


def small_cifar(patch: pytest.MonkeyPatch, records: int = 4) -> dict[str, np.ndarray]:
    """The records (n, 3073) of every file of a CIFAR-10 with fewer images."""
    random = np.random.default_rng(0)
    found = {}
    for name in CIFAR_FILES:
        found[name] = random.integers(0, 256, (records, 3073), np.uint8)
        found[name][:, 0] %= 10
    patch.setattr(cifar, "RECORDS", records)
    patch.setattr(CIFAR10, "sizes", {"train": 5 * records - 2, "val": 2, "test": records})
    return found


def packed_cifar(records: Mapping[str, np.ndarray]) -> bytes:
    """The archive of these files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        add(tar, f"{cifar.FOLDER}/batches.meta.txt", b"airplane\n")
        for name, values in records.items():
            add(tar, name, values.tobytes())
    return archive.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Put a file into an archive."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def write_cifar(patch: pytest.MonkeyPatch, folder: Path, archive: bytes) -> Path:
    """Put an archive there; its checksum is expected."""
    patch.setattr(cifar, "SHA256", hashlib.sha256(archive).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / cifar.ARCHIVE
    path.write_bytes(archive)
    return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of a folder's files, on this machine only."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files of one folder on this machine and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
