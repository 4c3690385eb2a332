"""CIFAR-10: an archive that is checked whole, and read without a file being unpacked."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pruneflow.errors import DataError
from pruneflow.zoo import cifar
from pruneflow.zoo.cifar import CIFAR10
from tests.zoo.archives import (
    CIFAR_FILES,
    add,
    packed_cifar,
    served,
    small_cifar,
    write_cifar,
)


def data(root: str = "root") -> CIFAR10:
    """A data module whose archive is read."""
    made = CIFAR10(root=root)
    made.setup()
    return made


@pytest.mark.parametrize("folder", ["root/CIFAR10", "root"])
def test_images_are_what_the_archive_holds(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    records = small_cifar(monkeypatch)
    write_cifar(monkeypatch, Path(folder), packed_cifar(records))
    ((images, labels),) = data().test_dataloader()
    assert labels.tolist() == records[cifar.TEST][:, 0].tolist()
    steps = CIFAR10.preprocessing
    planes = torch.from_numpy(records[cifar.TEST][:, 1:].reshape(-1, 3, 32, 32))
    for channel, (mean, deviation) in enumerate(
        zip(steps["subtract"], steps["then_divide_by"], strict=True)
    ):
        said = (planes[:, channel] / steps["divide_by"] - mean) / deviation
        torch.testing.assert_close(images[:, channel], said)


def test_every_training_image_is_in_one_split_with_its_label(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    records = small_cifar(monkeypatch)
    write_cifar(monkeypatch, Path("root"), packed_cifar(records))
    made = data()
    loaders = made.train_dataloader(), made.val_dataloader()
    assert [len(of.inputs) for of in loaders] == [18, 2]
    found = [
        (int(label), image.numpy().tobytes())
        for of in loaders
        for image, label in zip(of.inputs, of.labels, strict=True)
    ]
    published = np.concatenate([records[name] for name in cifar.TRAINING])
    assert sorted(found) == sorted((int(r[0]), r[1:].tobytes()) for r in published)
    assert made.train_dataloader().inputs.dtype == torch.uint8, "a quarter of the memory"


def hostile(records: dict[str, np.ndarray], how: str) -> bytes:
    """An archive that is not what it should be."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, values in records.items():
            content = values.tobytes()
            if name != cifar.TEST or how == "further":
                add(tar, name, content)
            elif how == "short":
                add(tar, name, content[:-1])
            elif how == "long":
                add(tar, name, content * 2)
            elif how == "elsewhere":
                add(tar, f"../{name}", content)
            elif how == "link":
                info = tarfile.TarInfo(name)
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info)
            elif how == "label":
                add(tar, name, b"\x0a" + content[1:])
        if how == "further":
            for name in ("../evil.bin", "/evil.bin", "evil.bin"):
                add(tar, name, b"evil")
    return archive.getvalue()


@pytest.mark.parametrize("how", ["short", "long", "elsewhere", "link", "label", "absent"])
def test_an_archive_of_other_files_is_refused(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = hostile(small_cifar(monkeypatch), how)
    write_cifar(monkeypatch, Path("root"), archive)
    with pytest.raises(DataError, match=r"tar\.gz: holds no cifar-10-batches-bin/test_batch\.bin"):
        data()


def test_nothing_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cifar(monkeypatch, Path("deep/root"), hostile(small_cifar(monkeypatch), "further"))
    data("deep/root")
    assert [found for found in Path().rglob("*") if found.is_file()] == [path]


def test_an_archive_with_another_checksum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cifar(monkeypatch, Path("root"), packed_cifar(small_cifar(monkeypatch)))
    path.write_bytes(path.read_bytes() + b"!")
    with pytest.raises(DataError, match="is damaged, or not CIFAR-10"):
        data()


@pytest.mark.parametrize("part", [0, 0.001, 0.5, 0.9])
def test_a_part_of_an_archive_is_refused(part: float, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed_cifar(small_cifar(monkeypatch))
    write_cifar(monkeypatch, Path("root"), archive[: int(part * len(archive))])
    with pytest.raises(DataError, match=r"tar\.gz: (cannot be read|holds no)"):
        data()


def test_an_absent_archive_is_downloaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed_cifar(small_cifar(monkeypatch))
    write_cifar(monkeypatch, Path("served"), archive)
    with served(Path("served")) as url:
        monkeypatch.setattr(cifar, "SOURCE", replace(cifar.SOURCE, url=url))
        data()
    assert Path("root/CIFAR10", cifar.ARCHIVE).read_bytes() == archive
    assert len(data().test_dataloader().labels) == 4, "it is there now"


def test_absent_and_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "SOURCE", replace(cifar.SOURCE, url="http://127.0.0.1:9/"))
    with pytest.raises(DataError, match=r"CIFAR-10 is not in nothing/CIFAR10.*binary version"):
        data("nothing")


def test_what_was_published_is_what_is_asked_for() -> None:
    assert len(CIFAR_FILES) == 6
    assert sum(CIFAR10.sizes.values()) == 6 * cifar.RECORDS == 60_000
    assert (1 + cifar.PIXELS) * cifar.RECORDS == 30_730_000
