"""Work that runs share is done once, and each of them ends with the bits of a run by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneflow.cli.arguments import parse
from pruneflow.cli.console import PlainConsole
from pruneflow.cli.jobs import Composer
from pruneflow.training import job
from pruneflow.training.shared import joining, store
from pruneflow.training.shared.work import Common
from tests.e2e.command import read, run, tiny

RAMP = """\
sparsity: 0.9
length: 4ep
modifiers:
  prune: {type: prune, sparsity: "${sparsity}", start: 2ep, allocation: global}
  finetune: {type: lr, start: prune.start, schedule: cosine, factor: 0.2}
"""
FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl",
         "logs/metrics.csv", "plan.json")  # fmt: skip
SWEEP = ("train", "recipe=tiny", "sparsity=0.6,0.8,0.9", "-m", "checkpoint.every_n_steps=0")
TIMES = ("seconds", "shared")


def require_same(one: Path, other: Path, files: tuple[str, ...] = FILES) -> None:
    """Two run folders that hold the same, down to the bit."""
    for name in files:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    results = [read(folder / "result.json") for folder in (one, other)]
    first, second = ({k: v for k, v in r.items() if k not in TIMES} for r in results)
    assert first == second


@pytest.fixture(scope="module", autouse=True)
def undrawn() -> Iterator[None]:
    """No pictures: they are made of what is compared here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pruneflow.training.job.draw_run", lambda *_: None)
        patch.setattr("pruneflow.report.sweep.draw_sweep", lambda curves, path: path.touch())
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep of which each job is trained by itself."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny()
        assert run(*SWEEP, "hydra.sweep.dir=sweep", "share=false") == 0
        assert not store.FOLDER.exists()
    return folder / "sweep"


def test_a_sweep_that_shares_ends_with_the_same_bits(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny()
    assert run("plan", *SWEEP[1:]) == 0
    told = "Shared work: steps 1 to 19 once for 3 jobs, 20 to 39 once for 2 jobs"
    assert told in capsys.readouterr().out
    assert run(*SWEEP, "hydra.sweep.dir=sweep") == 0
    said = capsys.readouterr().out
    assert told in said
    for number in "012":
        require_same(Path("sweep", number), alone / number)
    taken = [read(Path("sweep", number, "result.json"))["shared"] for number in "012"]
    assert taken[0] is None
    assert [each["steps"] for each in taken[1:]] == [19, 39]
    assert [each["run"] for each in taken[1:]] == ["sweep/0", "sweep/1"]
    assert 0 < taken[1]["cpu_seconds"] < taken[2]["cpu_seconds"]
    assert "Goes on from step 39 of 60, trained before by sweep/1" in said
    assert run("train", "recipe=tiny", "sparsity=0.8", "logger=none", "hydra.run.dir=single") == 0
    require_same(Path("single"), alone / "1", FILES[:4])
    assert read(Path("single/result.json"))["shared"]["steps"] == 39


def test_what_is_kept_and_damaged_is_told_and_trained(
    alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny()
    assert run(*SWEEP, "hydra.sweep.dir=first") == 0
    early, late = store.entries(store.FOLDER)
    early.part("checkpoint").write_bytes(b"torn")
    stranger = store.place_of(store.FOLDER, late.place.parent.name, late.until, late.prefix)
    part = stranger / "x.part"
    torch.save({"callbacks": {}, "code": print}, part)
    parts = {"checkpoint": part, "metrics": stranger / "y.part"}
    parts["metrics"].write_text("")
    store.publish(stranger, parts, {"step": late.step, "cpu_seconds": 1})
    capsys.readouterr()
    assert run(*SWEEP, "hydra.sweep.dir=sweep") == 0
    assert capsys.readouterr().out.count("Not gone on from: ") == 2
    for number in "012":
        require_same(Path("sweep", number), alone / number)
    assert read(Path("sweep/2/result.json"))["shared"]["steps"] == 39, "it is kept anew"


def test_a_fresh_sweep_takes_nothing_from_before() -> None:
    tiny()
    assert run(*SWEEP, "hydra.sweep.dir=first") == 0
    before = {entry.place: entry.used for entry in store.entries(store.FOLDER)}
    assert run(*SWEEP, "fresh=true", "hydra.sweep.dir=second") == 0
    assert {entry.place: entry.used for entry in store.entries(store.FOLDER)} == before
    assert read(Path("second/0/result.json"))["shared"] is None
    assert read(Path("second/2/result.json"))["shared"]["run"] == "second/1"
    assert not Path("second/.shared").exists()


def test_every_logger_is_told_what_was_logged_before() -> None:
    events_of = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tiny("recipes/ramp.yaml", RAMP)
    sweep = ("train", "recipe=ramp", "sparsity=0.8,0.9", "-m", "logger=tensorboard")
    assert run(*sweep, "hydra.sweep.dir=one") == 0
    assert run(*sweep, "hydra.sweep.dir=other", "share=false") == 0
    assert read(Path("one/1/result.json"))["shared"]["steps"] == 39
    found: list[dict[str, Any]] = []
    for folder in ("one/1", "other/1"):
        events = events_of.EventAccumulator(f"{folder}/tensorboard").Reload()
        names = events.Tags()["scalars"]
        found.append({n: sorted((e.step, e.value) for e in events.Scalars(n)) for n in names})
    assert found[0] == found[1]


def test_validations_that_are_counted_across_epochs_are_not_left_out() -> None:
    """Step 39 is the 19th of its epoch and validated after: the one before it is kept."""
    tiny("recipes/ramp.yaml", RAMP)
    sweep = ("train", "recipe=ramp", "sparsity=0.8,0.9", "-m", "+trainer.val_check_interval=13",
             "+trainer.check_val_every_n_epoch=null")  # fmt: skip
    assert run(*sweep, "hydra.sweep.dir=alone", "share=false") == 0
    assert run(*sweep, "hydra.sweep.dir=sweep") == 0
    for number in "01":
        require_same(Path("sweep", number), Path("alone", number))
    assert read(Path("sweep/1/result.json"))["shared"]["steps"] == 38


NOISY = """
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from pytorch_lightning import LightningDataModule

class Noisy(Dataset):
    def __init__(self):
        self.rng = np.random.default_rng(0)
        made = torch.Generator().manual_seed(0)
        self.labels = torch.randint(10, (64,), generator=made)
        self.images = torch.randn(64, 1, 28, 28, generator=made)

    def __len__(self):
        return 64

    def __getitem__(self, index):
        if LATE:
            self.extra = getattr(self, "extra", None) or np.random.default_rng(1)
            return self.images[index] + float(self.extra.normal()), self.labels[index]
        return self.images[index] + float(self.rng.normal()), self.labels[index]

class Data(LightningDataModule):
    def train_dataloader(self):
        return DataLoader(Noisy(), 16, shuffle=True)

    def val_dataloader(self):
        return DataLoader(Noisy(), 64)

    test_dataloader = val_dataloader
"""


@pytest.fixture(params=[False, True], ids=["at first", "late"])
def late(request: pytest.FixtureRequest) -> Iterator[bool]:
    """A person's own data, random by a generator that is made at first or too late."""
    tiny("recipes/ramp.yaml", RAMP)
    Path("noisy.py").write_text(f"LATE = {request.param}\n{NOISY}")
    yield request.param
    sys.modules.pop("noisy", None)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:a resume will not be exact")
def test_data_that_are_random_by_themselves_are_shared_exactly_or_not_at_all(late: bool) -> None:
    sweep = ("train", "recipe=ramp", "sparsity=0.8,0.9", "-m", "data.module=noisy:Data")
    assert run(*sweep, "hydra.sweep.dir=alone", "share=false") == 0
    assert run(*sweep, "hydra.sweep.dir=sweep") == 0
    for number in "01":
        require_same(Path("sweep", number), Path("alone", number))
    assert (read(Path("sweep/1/result.json"))["shared"] is None) == late


@pytest.mark.slow
def test_jobs_at_the_same_time_wait_for_each_other(alone: Path, repository: Path) -> None:
    tiny()
    points = {"0.6": "19", "0.8": "19,39", "0.9": "19,39"}
    code = "import sys; from tests.e2e.test_shared import train_job; train_job(*sys.argv[1:])"
    there = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, *each], stdout=subprocess.PIPE, env=there)
        for each in points.items()
    ]
    said = [each.communicate(timeout=200)[0].decode() for each in jobs]
    assert [each.returncode for each in jobs] == [0, 0, 0], said
    for number, sparsity in enumerate(points):
        require_same(Path(sparsity), alone / str(number), FILES[:4])
    taken = [read(Path(sparsity, "result.json"))["shared"] for sparsity in points]
    assert sum(each is not None for each in taken) == 2, said


def test_nobody_waits_for_the_silent(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that nobody will ever release, as some file systems leave them."""
    tiny()
    monkeypatch.setattr(joining, "PATIENCE", 0.5)
    monkeypatch.setattr(joining._Join, "_claim", lambda *_: False)
    said: list[str] = []
    monkeypatch.setattr(job, "_say", lambda _, text: said.append(text))
    began = time.monotonic()
    train_job("0.6", "19")
    assert "Waits for steps 1 to 19, which another run trains." in said
    assert time.monotonic() - began > 0.5
    require_same(Path("0.6"), alone / "0", FILES[:4])


def train_job(sparsity: str, points: str) -> None:
    """One job of a sweep that knows where others part from it."""
    parsed = parse(["recipe=tiny", f"sparsity={sparsity}", *SWEEP[4:]])
    config = Composer("train", parsed).job(parsed.overrides).config
    common = Common(tuple(map(int, points.split(","))))
    job.train(config, Path(sparsity), PlainConsole(), common=common)
