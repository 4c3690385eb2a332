"""Damaged files are read as what they were, or refused in plain words."""

from __future__ import annotations

import random
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import damage, struck
from benchmarks.faults.damage import Templates
from benchmarks.faults.nursery import Nursery
from pruneflow.checkpoint import newest_checkpoint
from pruneflow.errors import DataError
from pruneflow.zoo.mnist import MNIST
from tests.e2e.command import trained
from tests.zoo.archives import small_idx, write_idx


@pytest.mark.slow
def test_a_damaged_file_of_a_run_loses_nothing(
    nursery: Nursery, reference: dict[str, Any], tmp_path: Path
) -> None:
    templates = Templates(nursery, tmp_path)
    for kind in damage.KINDS:
        outcome = templates.damaged(kind, random.Random(7), reference)
        assert outcome.how != struck.LOST, f"{kind}: {outcome.why}"
    outcome = templates.shared_folder(reference)
    assert outcome.how == struck.REFUSED, outcome.why


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a run."""
    run = trained(tmp_path_factory.mktemp("whole"), "share=false")
    found = newest_checkpoint(run / "checkpoints")
    assert found is not None
    return found


def test_a_damaged_checkpoint_is_passed_over(checkpoint: Path) -> None:
    chance = random.Random(0)
    for _ in range(10):
        shutil.rmtree("checkpoints", ignore_errors=True)
        Path("checkpoints").mkdir()
        older = Path("checkpoints/step00000001.ckpt")
        newer = Path("checkpoints/step00000002.ckpt")
        shutil.copy(checkpoint, older)
        shutil.copy(checkpoint, newer)
        damage.spoil(newer, chance)
        assert newest_checkpoint(Path("checkpoints")) in (older, newer)
        if newest_checkpoint(Path("checkpoints")) == newer:  # the bits mean nothing
            older.unlink()
            assert same_tensors(newer, checkpoint)


def same_tensors(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same, byte for byte."""
    with zipfile.ZipFile(one) as mine, zipfile.ZipFile(other) as its:
        names = its.namelist()
        return mine.namelist() == names and all(mine.read(n) == its.read(n) for n in names)


def test_damaged_data_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content, chance = small_idx(monkeypatch, MNIST), random.Random(0)
    write_idx(Path("data/MNIST/raw"), content)
    whole = MNIST.files.load(Path("data"), "train")
    for _ in range(60):
        write_idx(Path("data/MNIST/raw"), content)
        path = chance.choice(sorted(Path("data").rglob("train*.gz")))
        how = damage.spoil(path, chance)
        with suppress(DataError):
            found = MNIST.files.load(Path("data"), "train")
            assert all((a == b).all() for a, b in zip(found, whole, strict=True)), how
