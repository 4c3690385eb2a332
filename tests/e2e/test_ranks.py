"""``trainer.devices=2``: two processes train one network, and are killed, and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from pruneflow.engine import Engine
from pruneflow.training.finished import open_run
from tests.e2e.command import lines, process, read, run, tiny

BOTH = ("train", "recipe=tiny", "trainer.devices=2", "trainer.threads=1")
FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl",
         "logs/metrics.csv")  # fmt: skip

OWN = """\
import os, signal
from pathlib import Path
import torch
from pytorch_lightning import LightningDataModule
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from pruneflow.engine import Engine
from pruneflow.zoo.classifier import Classifier

class Net(Classifier):
    def __init__(self):
        super().__init__({"name": "sgd", "lr": 0.05, "momentum": 0.9})
        self.last = nn.Linear(20, 10)  # gradients come in another order than layers are made
        self.body = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 30), nn.BatchNorm1d(30), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(30, 20), nn.BatchNorm1d(20), nn.ReLU(),
        )

    def forward(self, images):
        return self.last(self.body(images))

    def test_step(self, batch, index):
        super().test_step(batch, index)
        self.log("seen", float(len(batch[1])), reduce_fx="sum", sync_dist=True)
        right = (self(batch[0]).argmax(1) == batch[1]).float().mean()
        self.log("mean", right, sync_dist=True, batch_size=len(batch[1]))

class Data(LightningDataModule):
    def loader(self, n, **more):
        made = torch.Generator().manual_seed(n)
        labels = torch.randint(10, (n,), generator=made)
        images = torch.randn(n, 1, 28, 28, generator=made) + labels.view(-1, 1, 1, 1) / 4
        return DataLoader(TensorDataset(images, labels), 16, **more)

    def train_dataloader(self):
        return self.loader(201, shuffle=True, drop_last=True)

    def val_dataloader(self):
        return self.loader(65)

    def test_dataloader(self):
        return self.loader(131)

RANK, AT = os.environ.get("RANK"), int(os.environ.get("KILL_AT", -1))
ALIVE = Path("killed_once")
advance = Engine.advance

def deadly(self, step):
    if RANK == os.environ.get("KILL", "1") and step == AT and not ALIVE.exists():
        ALIVE.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(self, step)

Engine.advance = deadly
"""


@pytest.fixture(autouse=True)
def own_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A recipe; and a module of the person's own with a network, data, and a death."""
    tiny()
    Path("own.py").write_text(OWN)
    monkeypatch.setattr(Engine, "advance", Engine.advance)
    yield
    for name in ("own", "undivided"):
        sys.modules.pop(name, None)


def require_same(one: str, other: str) -> None:
    for name in FILES:
        assert Path(one, name).read_bytes() == Path(other, name).read_bytes(), name


def accuracy_alone(folder: str) -> float:
    """The test accuracy of what a run has left, in this process by itself."""
    finished = open_run(Path(folder))
    batches = finished.test()
    assert batches is not None
    with torch.no_grad():
        right = sum(int((finished.module(x).argmax(1) == y).sum()) for x, y in batches)
    return right / sum(len(labels) for _, labels in batches)


def test_two_processes_train_one_network(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(*BOTH, "hydra.run.dir=both") == 0
    shown, result = capfd.readouterr(), read(Path("both/result.json"))
    assert shown.out.count("plan tiny") == shown.out.count("step 10/30") == 1
    assert shown.err == ""
    assert result["processes"] == 2
    assert (result["steps"], result["status"], result["sparsity"]) == (30, "complete", 0.9)
    assert result["accuracy"]["final"] == pytest.approx(accuracy_alone("both"), abs=1e-7)
    lock = yaml.safe_load(Path("both/run.lock.yaml").read_text())
    assert (lock["processes"], lock["threads"]) == (2, 1)
    assert lock["config_hash"] == result["config_hash"]
    plan = read(Path("both/plan.json"))
    assert (plan["steps"], plan["steps_per_epoch"], plan["processes"]) == (30, 10, 2)
    hashes = [event["mask_hash"] for event in lines(Path("both/journal.jsonl"))]
    assert len(hashes) == 3
    assert {path.name for path in Path("both/ranks").iterdir()} == {
        "task.json", "launcher.log", "warnings.log",
        "rank0.json", "rank0.log", "rank1.json", "rank1.log",
    }  # fmt: skip
    assert len(lines(Path("both/history.jsonl"))) == 3
    assert len(list(Path("both/checkpoints").iterdir())) == 2
    for rank in (0, 1):
        told = read(Path(f"both/ranks/rank{rank}.json"))
        assert told["state"] == "finished"
        with pytest.raises(ProcessLookupError):
            os.kill(told["process"], 0)


def test_the_plan_counts_what_each_process_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "recipe=tiny", "trainer.devices=2", "hydra.run.dir=zoo") == 0
    assert read(Path("zoo/plan.json"))["steps_per_epoch"] == 10  # of 1,257 images
    assert "2 processes" in capsys.readouterr().out
    own = ("data.module=own:Data", "model.module=own:Net")
    for count, batches in ((1, 12), (2, 6), (3, 4)):  # of 201 images, the last batch dropped
        name = f"own{count}"
        assert run("plan", "recipe=tiny", *own, f"trainer.devices={count}",
                   f"hydra.run.dir={name}") == 0  # fmt: skip
        assert read(Path(name, "plan.json"))["steps_per_epoch"] == batches


def test_data_that_nobody_divides_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    text = OWN.replace("return DataLoader(TensorDataset(images, labels), 16, **more)",
                       "return list(zip(images.split(16), labels.split(16)))")  # fmt: skip
    Path("undivided.py").write_text(text)
    asked = ("plan", "recipe=tiny", "data.module=undivided:Data", "model.module=undivided:Net")
    assert run(*asked) == 0
    assert run(*asked, "trainer.devices=2") == 2
    assert "loader's list is not divided among processes" in capsys.readouterr().err
    assert run(*asked, "trainer.devices=2", "+trainer.use_distributed_sampler=false") == 0


def test_shrinking_is_for_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    tiny(text="modifiers: {p: {type: prune, granularity: channel, sparsity: 0.5}, "
         "s: {type: shrink, start: p.end}}")  # fmt: skip
    assert run(*BOTH) == 2
    assert "modifiers.s: replaces parameters" in capsys.readouterr().err
    assert not Path("outputs").exists()


OF_THEIR_OWN = (*BOTH, "imports=[own]", "model.module=own:Net", "checkpoint.every_n_steps=7")


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_dies_ends_the_run_which_goes_on_exactly(
    rank: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """With dropout, batch norms and shifted images, whose random numbers are each process's."""
    asked = (*OF_THEIR_OWN, "data.augment.shift=2")
    done = process(*asked, "hydra.run.dir=whole")
    assert done.returncode == 0, done.stderr
    death = {"KILL": str(rank), "KILL_AT": "18"}
    done = process(*asked, "hydra.run.dir=killed", env=death)
    assert done.returncode == 1
    told = " ".join(done.stderr.split())
    assert f"pruneflow: rank {rank} of 2 (process " in told
    assert ") was killed (SIGKILL), perhaps for want of memory" in told
    assert f"its log: killed/ranks/rank{rank}.log" in told
    assert "To go on: pruneflow train run=killed ckpt_path=last" in told
    assert "Traceback" not in done.stderr
    alone = [word for word in asked if word != "trainer.devices=2"]
    assert run(*alone, "hydra.run.dir=killed", "ckpt_path=last") == 2
    assert "trainer.devices is 1 here and 2 there" in capsys.readouterr().err
    assert run(*alone, "ckpt_path=killed/checkpoints/step00000014.ckpt") == 2
    assert "was written by 2 processes, and 1 cannot continue it" in capsys.readouterr().err
    done = process("train", "run=killed", "ckpt_path=last")
    assert done.returncode == 0, done.stderr
    assert "Continuing killed from killed/checkpoints/step00000014.ckpt" in done.stdout
    require_same("whole", "killed")


@pytest.mark.slow
def test_every_sample_counts_once_and_three_processes_go_on_exactly() -> None:
    """Of data that Lightning divides; its own way would count some samples twice."""
    asked = ("train", "recipe=tiny", "trainer.devices=3", "trainer.threads=1", "imports=[own]",
             "model.module=own:Net", "data.module=own:Data")  # fmt: skip
    done = process(*asked, "hydra.run.dir=whole")
    assert done.returncode == 0, done.stderr
    result = read(Path("whole/result.json"))
    assert result["metrics"]["seen"] == 131
    alone = accuracy_alone("whole")
    for found in (result["accuracy"]["final"], result["metrics"]["mean"]):
        assert found == pytest.approx(alone, abs=1e-7)
    assert process(*asked, "hydra.run.dir=killed", env={"KILL_AT": "10"}).returncode == 1
    assert process("train", "run=killed", "ckpt_path=last").returncode == 0
    require_same("whole", "killed")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_in_a_sweep_one_job_dies_and_the_other_jobs_go_on(launcher: str) -> None:
    asked = (*OF_THEIR_OWN, "sparsity=0.5,0.8", "-m", "hydra.sweep.dir=sweep",
             f"hydra/launcher={launcher}")  # fmt: skip
    done = process(*asked, env={"KILL_AT": "5"})
    assert done.returncode == 1
    (finished,) = Path("sweep").glob("*/result.json")
    assert read(finished)["processes"] == 2
    (died,) = {"0", "1"} - {finished.parent.name}
    assert f"job {died} failed: rank 1 of 2" in done.stderr
    done = process(*asked)
    assert done.returncode == 0, done.stderr
    sparsity = [read(Path(f"sweep/{job}/result.json"))["sparsity"] for job in (0, 1)]
    assert sparsity == pytest.approx([0.5, 0.8], abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_the_command_that_started_them(how: signal.Signals) -> None:
    command = [sys.executable, "-m", "pruneflow", *OF_THEIR_OWN, "hydra.run.dir=left",
               "recipe.length=500ep"]  # fmt: skip
    listens = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also below a shell's "&"
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listens
    )
    places = [Path(f"left/ranks/rank{rank}.json") for rank in (0, 1)]
    wait_for(lambda: any(Path("left/checkpoints").glob("step*.ckpt")))
    both = [read(place)["process"] for place in places]
    started.send_signal(how)
    out, err = started.communicate(timeout=60)
    wait_for(lambda: not any(map(is_alive, both)))
    if how == signal.SIGINT:
        assert started.returncode == 130
        assert "To go on: pruneflow train run=left ckpt_path=last" in out
        assert "Traceback" not in err


def wait_for(condition: object, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until
        time.sleep(0.1)


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
