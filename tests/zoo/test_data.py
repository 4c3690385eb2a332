"""Data: the same splits for everybody, resumable order, and files that are checked."""

from __future__ import annotations

import gzip
import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from pruneflow.errors import DataError
from pruneflow.zoo import mnist
from pruneflow.zoo.data import DATA, Digits
from pruneflow.zoo.loader import EpochLoader


def test_digits_have_the_sizes_they_declare_and_no_image_twice() -> None:
    data = Digits()
    data.setup()
    splits = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [len(s.inputs) for s in splits] == [
        data.num_samples(n) for n in ("train", "val", "test")
    ]
    assert splits[0].inputs.shape[1:] == (1, 28, 28)
    assert sum(len(loader.inputs) for loader in splits) == 1797


def test_splits_do_not_depend_on_the_seed() -> None:
    one, other = Digits(seed=1), Digits(seed=2)
    one.setup()
    other.setup()
    assert torch.equal(one.train_dataloader().inputs, other.train_dataloader().inputs)
    assert not torch.equal(next(iter(one.train_dataloader()))[1],
                           next(iter(other.train_dataloader()))[1])  # fmt: skip


@pytest.mark.parametrize("size", [0, -1, 2.5, "64"])
def test_a_batch_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Digits(batch_size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(DATA))
def test_sizes_are_known_without_loading(name: str) -> None:
    data = DATA[name](root="nowhere")
    assert data.num_samples("train") > data.num_samples("test") > 0


def batches(loader: EpochLoader, count: int) -> list[list[int]]:
    """The next batches, over the ends of epochs."""
    found: list[list[int]] = []
    while len(found) < count:
        for inputs, _ in loader:
            found.append(inputs.tolist())
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("stop", range(1, 9))
def test_a_loader_goes_on_where_another_stopped(stop: int) -> None:
    numbers = torch.arange(10)
    whole = batches(EpochLoader(numbers, numbers, 3, shuffle=True, seed=5), 12)
    first = EpochLoader(numbers, numbers, 3, shuffle=True, seed=5)
    begun = batches(first, stop)
    second = EpochLoader(numbers, numbers, 3, shuffle=True, seed=5)
    second.load_state_dict(first.state_dict())
    assert begun + batches(second, 12 - stop) == whole


def test_every_epoch_has_every_example_once_in_another_order() -> None:
    numbers = torch.arange(10)
    loader = EpochLoader(numbers, numbers, 3, shuffle=True)
    epochs = [[n for inputs, _ in loader for n in inputs.tolist()] for _ in range(3)]
    assert all(sorted(epoch) == numbers.tolist() for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(loader) == 4


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Files of three images each, in MNIST's format, with their own checksums."""
    images = bytes(16) + np.arange(3 * 784, dtype=np.uint8).tobytes()
    labels = bytes(8) + bytes([7, 1, 4])
    content = {name: images if "images" in name else labels for name in mnist.FILES}
    sums = {name: (hashlib.sha256(data).hexdigest(), "") for name, data in content.items()}
    monkeypatch.setattr(mnist, "FILES", sums)
    return content


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("folder", ["MNIST/raw", "."])
def test_files_are_read_packed_or_not(
    small_mnist: dict[str, bytes], packed: bool, folder: str
) -> None:
    place = Path("root", folder)
    place.mkdir(parents=True)
    for name, data in small_mnist.items():
        path = place / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(data) if packed else data)
    images, labels = mnist.load(Path("root"), "train")
    assert images.shape == (3, 28, 28)
    assert labels.tolist() == [7, 1, 4]


def test_a_damaged_file_is_refused_by_name(small_mnist: dict[str, bytes]) -> None:
    for name, data in small_mnist.items():
        Path(name).write_bytes(data[:-1] + b"!")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: is damaged"):
        mnist.load(Path(), "train")


def test_a_truncated_archive_is_refused_by_name(small_mnist: dict[str, bytes]) -> None:
    for name, data in small_mnist.items():
        Path(f"{name}.gz").write_bytes(gzip.compress(data)[:-9])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz: cannot be read"):
        mnist.load(Path(), "train")


def test_absent_and_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("pooch.retrieve", offline)
    with pytest.raises(DataError, match=r"data\.root=FOLDER or PRUNEFLOW_DATA=FOLDER"):
        mnist.load(Path("nothing"), "train")


def test_the_environment_names_the_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNEFLOW_DATA", "somewhere")
    assert DATA["mnist"]().root == Path("somewhere")


def test_absent_files_are_downloaded_once(
    small_mnist: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Path("served")
    served.mkdir()
    sums = {}
    for name, data in small_mnist.items():
        archive = gzip.compress(data)
        (served / f"{name}.gz").write_bytes(archive)
        md5 = hashlib.md5(archive, usedforsecurity=False).hexdigest()
        sums[name] = (hashlib.sha256(data).hexdigest(), md5)
    monkeypatch.setattr(mnist, "FILES", sums)
    handler = partial(QuietHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(mnist, "URL", f"http://127.0.0.1:{server.server_port}/")
        assert mnist.load(Path("root"), "t10k")[1].tolist() == [7, 1, 4]
        server.shutdown()
    assert mnist.load(Path("root"), "t10k")[1].tolist() == [7, 1, 4], "it is there now"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files of one folder on this machine and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""
