"""MNIST and Fashion-MNIST: files that are found, checked, and downloaded where they are absent."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pruneflow.errors import DataError
from pruneflow.zoo.mnist import MNIST, FashionMNIST, IdxImages
from tests.zoo.archives import served, small_idx, write_idx

FOLDERS = {MNIST: Path("MNIST/raw"), FashionMNIST: Path("FashionMNIST/raw")}
KINDS = pytest.mark.parametrize("kind", list(FOLDERS))
IMAGES = "train-images-idx3-ubyte"


def data(kind: type[IdxImages], root: str = "root") -> IdxImages:
    """A data module whose files are read."""
    made = kind(root=root)
    made.setup()
    return made


@KINDS
@pytest.mark.parametrize("flat", [True, False])
def test_images_are_what_the_files_hold(
    kind: type[IdxImages], flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = small_idx(monkeypatch, kind)
    write_idx(Path("root") if flat else "root" / FOLDERS[kind], content)
    ((images, labels),) = data(kind).test_dataloader()
    assert images.shape == (5, 1, 28, 28)
    assert labels.tolist() == [0, 1, 2, 3, 4]
    raw = torch.frombuffer(bytearray(content["t10k-images-idx3-ubyte"][16:]), dtype=torch.uint8)
    steps = kind.preprocessing
    said = (raw.view(5, 1, 28, 28) / steps["divide_by"] - steps["subtract"]) / steps[
        "then_divide_by"
    ]
    torch.testing.assert_close(images, said)


@KINDS
def test_training_and_validation_share_the_training_file(
    kind: type[IdxImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(Path("root"), small_idx(monkeypatch, kind))
    made = data(kind)
    found = [len(of.inputs) for of in (made.train_dataloader(), made.val_dataloader())]
    assert found == [6, 2]
    labels = torch.cat([made.train_dataloader().labels, made.val_dataloader().labels])
    assert sorted(labels.tolist()) == list(range(8))


def test_unpacked_files_do_where_their_checksum_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx("root" / FOLDERS[MNIST], small_idx(monkeypatch, MNIST), packed=False)
    assert len(data(MNIST).test_dataloader().labels) == 5


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("pooch.retrieve", refuse)


@pytest.mark.usefixtures("offline")
def test_unpacked_files_that_nobody_can_check_are_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = small_idx(monkeypatch, FashionMNIST)
    write_idx("root" / FOLDERS[FashionMNIST], content, packed=False)
    with pytest.raises(DataError, match=r"four \.gz files \(unpacked ones have no published"):
        data(FashionMNIST)


@pytest.mark.usefixtures("offline")
@KINDS
def test_absent_and_offline_says_what_to_do(kind: type[IdxImages]) -> None:
    with pytest.raises(DataError, match=r"data\.root=FOLDER or PRUNEFLOW_DATA=FOLDER") as said:
        data(kind, "nothing")
    assert str(said.value).startswith(f"{kind.files.source.title} is not in nothing/")


@KINDS
def test_a_damaged_file_is_refused_by_name(
    kind: type[IdxImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = small_idx(monkeypatch, kind)
    write_idx(Path("root"), {name: file[:-1] + b"!" for name, file in content.items()})
    with pytest.raises(DataError, match=rf"{IMAGES}.gz: is damaged, or not .*checksum differs"):
        data(kind)


def test_another_data_sets_files_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(Path("root"), small_idx(monkeypatch, MNIST))
    small_idx(monkeypatch, FashionMNIST, train=9)
    with pytest.raises(DataError, match="or not Fashion-MNIST"):
        data(FashionMNIST)


def test_a_truncated_archive_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("root").mkdir()
    for name, file in small_idx(monkeypatch, MNIST).items():
        Path("root", f"{name}.gz").write_bytes(gzip.compress(file)[:-9])
    with pytest.raises(DataError, match=rf"{IMAGES}.gz: cannot be read"):
        data(MNIST)


def test_an_archive_damaged_inside_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(Path("root"), small_idx(monkeypatch, MNIST))
    path = Path("root", f"{IMAGES}.gz")
    packed = bytearray(path.read_bytes())
    packed[12] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(DataError, match=rf"{IMAGES}.gz: (cannot be read|is damaged)"):
        data(MNIST)


@KINDS
def test_absent_files_are_downloaded_once(
    kind: type[IdxImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_idx(Path("served"), small_idx(monkeypatch, kind))
    with served(Path("served")) as url:
        files = replace(kind.files, source=replace(kind.files.source, url=url))
        monkeypatch.setattr(kind, "files", files)
        assert len(data(kind).test_dataloader().labels) == 5
    assert len(list(("root" / FOLDERS[kind]).glob("*.gz"))) == 4
    assert len(data(kind).test_dataloader().labels) == 5, "they are there now"


@KINDS
def test_a_download_with_another_checksum_is_refused(
    kind: type[IdxImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = small_idx(monkeypatch, kind)
    write_idx(Path("served"), {name: file + b"!" for name, file in content.items()})
    with served(Path("served")) as url:
        files = replace(kind.files, source=replace(kind.files.source, url=url))
        monkeypatch.setattr(kind, "files", files)
        with pytest.raises(DataError, match="cannot be downloaded"):
            data(kind)
    assert not list(Path("root").rglob("*.gz"))
