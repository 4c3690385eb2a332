"""Data of strangers: as large as what was published and no larger, and nothing unpacked to disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from pruneflow.errors import DataError
from pruneflow.zoo import cifar, idx
from pruneflow.zoo.idx import Checksums
from pruneflow.zoo.mnist import MNIST, FashionMNIST
from tests.strangers.canary import is_alive
from tests.zoo.archives import add, write_cifar

IMAGES = "train-images-idx3-ubyte"


def test_a_packed_file_does_not_swell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "MOST_BYTES", 2**16)
    read: list[int] = []
    inflate = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        data = inflate(self, size)
        read.append(len(data))
        return data

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    Path(f"{IMAGES}.gz").write_bytes(gzip.compress(bytes(2**24), 9))
    with pytest.raises(DataError, match=r"is damaged, or not MNIST"):
        MNIST.files.load(Path(), "train")
    assert read == [2**16 + 1]


def test_packed_data_is_checked_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip, "open", lambda *_: pytest.fail("was unpacked"))
    Path(f"{IMAGES}.gz").write_bytes(gzip.compress(bytes(100)))
    with pytest.raises(DataError, match="its checksum differs"):
        FashionMNIST.files.load(Path(), "train")


def test_a_sparse_file_is_not_read_whole() -> None:
    Path(IMAGES).touch()
    os.truncate(IMAGES, 2**40)
    with pytest.raises(DataError, match=r"is damaged, or not MNIST"):
        MNIST.files.load(Path(), "train")


def test_a_pipe_is_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(IMAGES)
    monkeypatch.setattr("pruneflow.zoo.files.Source.download", lambda *_: pytest.fail("download"))
    known = dict.fromkeys(MNIST.files.checksums, Checksums("0" * 32, "0" * 64))
    files = replace(MNIST.files, checksums=known)
    with pytest.raises(pytest.fail.Exception, match="download"):
        files.load(Path(), "train")


def archive(*names: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name in names:
            add(tar, name, b"x")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(cifar.TEST)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    return stream.getvalue()


def test_an_archive_writes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even one that has the right checksum."""
    data = archive("../../canary", "/tmp/pruneflow-canary", "canary", cifar.TEST)
    path = write_cifar(monkeypatch, Path("data"), data)
    with pytest.raises(DataError, match="holds no"):
        cifar.read(path)
    assert is_alive()
    assert not Path("/tmp/pruneflow-canary").exists()
    assert [*tmp_path.rglob("*")] == [tmp_path / "data", path.absolute()]


def test_an_archive_with_another_checksum_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cifar(monkeypatch, Path("data"), archive("a"))
    monkeypatch.setattr(cifar, "SHA256", hashlib.sha256(b"published").hexdigest())
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("was opened"))
    with pytest.raises(DataError, match="its checksum differs"):
        cifar.read(path)
