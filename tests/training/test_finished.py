"""A finished run made whole again: its network, its data, and what is told where it cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pruneflow.errors import DataError, ResumeError
from pruneflow.training.finished import Finished, finished_runs, open_run
from tests.e2e import command
from tests.e2e.command import read


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, ``done``, trained once for all tests."""
    return command.trained(tmp_path_factory.mktemp("trained"), "sparsity=0.5")


@pytest.fixture
def done(trained: Path) -> Path:
    """The finished run, for this test alone."""
    shutil.copytree(trained, "done")
    return Path("done")


# -- opened ----------------------------------------------------------------------------------


def test_what_comes_back_is_the_network_that_was_trained(done: Path) -> None:
    opened = open_run(done)
    assert not any(module.training for module in opened.module.modules())
    assert opened.result == read(done / "result.json")
    weights = [p for p in opened.module.parameters() if p.dim() > 1]
    kept = sum(int(p.count_nonzero()) for p in weights)
    assert kept / sum(p.numel() for p in weights) == pytest.approx(1 - opened.result["sparsity"])
    batches = opened.validation()
    assert batches is not None
    x, y = batches[0]
    assert torch.equal(opened.example(), x)
    assert opened.example().dtype == torch.float32
    assert y.dtype == torch.int64
    assert sum(len(labels) for _, labels in batches) == 180
    again = opened.validation()
    assert again is not None
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches, again, strict=True))


def test_opening_changes_nothing_in_the_folder(done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    open_run(done).validation()
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before


@pytest.mark.parametrize(
    ("remove", "words"),
    [
        ("run.lock.yaml", "done: there is no run in this folder"),
        ("result.json", "done: this run is not finished; go on with: pruneflow train run=done"),
        ("pruned.safetensors", "done/pruned.safetensors: cannot be read: No such file"),
    ],
)
def test_what_is_missing_is_named(done: Path, remove: str, words: str) -> None:
    (done / remove).unlink()
    with pytest.raises(ResumeError) as told:
        open_run(done)
    assert str(told.value).startswith(words)


def test_truncated_weights_name_the_mend(done: Path) -> None:
    path = done / "pruned.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        ResumeError, match=r"is damaged: .*; to train it again: pruneflow train run="
    ):
        open_run(done)


# -- found -----------------------------------------------------------------------------------


def test_the_runs_of_a_folder(done: Path) -> None:
    assert finished_runs(done) == [done]
    for name in ("10", "2", "unfinished"):
        shutil.copytree(done, Path("sweep") / name)
    Path("sweep/unfinished/result.json").unlink()
    assert finished_runs(Path("sweep")) == [Path("sweep/2"), Path("sweep/10")]
    assert finished_runs(Path("sweep/unfinished")) == [Path("sweep/unfinished")]  # told when opened
    shutil.rmtree("sweep/2")
    shutil.rmtree("sweep/10")
    with pytest.raises(ResumeError, match="sweep: none of its 1 runs is finished"):
        finished_runs(Path("sweep"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty", "empty: there is no run in it"),
        ("nowhere", "nowhere: no such folder"),
        ("dnoe", "dnoe: no such folder. Did you mean 'done'?"),
        ("done/plan.json", "done/plan.json: is a file, give the folder of a run"),
    ],
)
def test_a_folder_without_runs_is_told(done: Path, name: str, words: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(ResumeError) as told:
        finished_runs(Path(name))
    assert str(told.value) == words


# -- data of other kinds ---------------------------------------------------------------------

X = torch.rand(10, 8)


class Net(LightningModule):
    """A layer, with an example or without."""

    def __init__(self, outputs: int = 3, example: Any = None) -> None:
        super().__init__()
        self.fc, self.example_input_array = nn.Linear(8, outputs), example

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.fc(x)
        return y


class Data(LightningDataModule):
    """Whatever a test says, or no validation data at all."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__()
        self.loader = loader

    def val_dataloader(self) -> Any:
        return super().val_dataloader() if self.loader is None else self.loader


def opened(loader: Any, outputs: int = 3, example: Any = None) -> Finished:
    """A run with such data."""
    return Finished(Path("mine"), Net(outputs, example), Data(loader), {})


def pairs(*tensors: torch.Tensor) -> DataLoader[Any]:
    """A loader of batches of four."""
    return DataLoader(TensorDataset(*tensors), 4)


LABELS = torch.arange(10) % 3


@pytest.mark.parametrize(
    "loader",
    [pairs(X, LABELS), [pairs(X, LABELS)], (pairs(X, LABELS), pairs(X, LABELS.flip(0)))],
    ids=["one loader", "a list of one", "several"],
)
def test_labelled_data(loader: Any) -> None:
    found = opened(loader).validation()
    assert found is not None
    assert torch.equal(torch.cat([x for x, _ in found]), X)
    assert torch.equal(torch.cat([y for _, y in found]), LABELS)
    assert torch.equal(opened(loader).example(), X[:4])


@pytest.mark.parametrize(
    "loader",
    [
        pairs(X), pairs(X, X), pairs(X, LABELS.float()), pairs(X, LABELS, LABELS),
        [[X, "words"]], [X], [],
    ],
    ids=["inputs only", "targets", "numbers", "weights too", "words", "tensors", "empty"],
)  # fmt: skip
def test_data_that_are_not_labelled(loader: Any) -> None:
    assert opened([loader] if isinstance(loader, list) else loader).validation() is None


def test_networks_that_give_no_scores_of_classes() -> None:
    assert opened(pairs(X, LABELS), outputs=1).validation() is None
    assert opened(pairs(X, LABELS), outputs=2).validation() is not None


def test_no_validation_data_at_all() -> None:
    assert opened(None).validation() is None
    with pytest.raises(DataError, match="mine: its data yields no batches of tensors; give the"):
        opened(None).example()
    assert torch.equal(opened(None, example=X).example(), X)


@pytest.mark.parametrize(
    ("loader", "example"),
    [(lambda: pairs(X), None), (lambda: [[X[:4]]], None), (lambda: [[{"x": X}]], X[:4]),
     (lambda: pairs(X.flip(0)), X[:4])],
)  # fmt: skip
def test_an_example_is_the_modules_own_or_the_first_batch(
    loader: Callable[[], Any], example: torch.Tensor | None
) -> None:
    assert torch.equal(opened(loader(), example=example).example(), X[:4])
