"""A killed run goes on, by one command, and ends with the bits of a run that nobody killed."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.command import process, run, tiny

KILLER = """\
import os, signal
from pruneflow.engine import Engine
advance = Engine.advance

def deadly(self, step):
    if step == int(os.environ.get("KILL_AT", -1)):
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(self, step)

Engine.advance = deadly
"""

ARGUMENTS = ("train", "recipe=tiny", "checkpoint.every_n_steps=7", "trainer.threads=1",
             "imports=[killer]")  # fmt: skip
FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl")


@pytest.fixture(autouse=True)
def killer() -> None:
    """A recipe, and a module of the person's own that kills the process at a step."""
    tiny()
    Path("killer.py").write_text(KILLER)


def test_a_run_killed_twice_ends_with_the_same_bits() -> None:
    assert process(*ARGUMENTS, "hydra.run.dir=whole").returncode == 0
    done = process(*ARGUMENTS, "hydra.run.dir=killed", env={"KILL_AT": "10"})
    assert done.returncode == -signal.SIGKILL
    again = ("train", "run=killed", "ckpt_path=last")
    assert process(*again, env={"KILL_AT": "33"}).returncode == -signal.SIGKILL
    done = process(*again)
    assert done.returncode == 0, done.stderr
    assert "Continuing killed from killed/checkpoints/step" in done.stdout.replace("\n", "")
    for name in FILES:
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_damaged_checkpoints_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    killed = process(*ARGUMENTS, "hydra.run.dir=killed", env={"KILL_AT": "20"})
    assert killed.returncode == -signal.SIGKILL
    old, new = sorted(Path("killed/checkpoints").glob("step*.ckpt"))
    shutil.copytree("killed", "worse")
    for path in (new, Path("worse/checkpoints", old.name), Path("worse/checkpoints", new.name)):
        path.write_bytes(path.read_bytes()[:-100])
    assert run("train", "run=worse", "ckpt_path=last") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert f"worse: every checkpoint is damaged: {old.name}, {new.name}; to train it again" in told
    assert "pruneflow train run=worse" in told
    assert run("train", "run=killed", "ckpt_path=last") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"from killed/checkpoints/{old.name}; damaged and passed over: {new.name}" in told


def test_last_finds_the_unfinished_run_of_this_configuration() -> None:
    assert process(*ARGUMENTS, env={"KILL_AT": "10"}).returncode == -signal.SIGKILL
    (folder,) = Path("outputs/tiny").iterdir()
    assert run(*ARGUMENTS, "sparsity=0.5", "ckpt_path=last") == 2
    assert process(*ARGUMENTS, "ckpt_path=last").returncode == 0
    assert [path.name for path in Path("outputs/tiny").iterdir()] == [folder.name]
    assert (folder / "result.json").is_file()
    assert run(*ARGUMENTS, "ckpt_path=last") == 2, "there is nothing left to continue"


def test_a_run_killed_after_its_last_step_writes_what_is_missing() -> None:
    assert run(*ARGUMENTS, "hydra.run.dir=whole") == 0
    shutil.copytree("whole", "killed")
    for name in (*FILES, "result.json", "run.png"):
        Path("killed", name).unlink()
    assert run("train", "run=killed", "ckpt_path=last") == 0
    for name in (*FILES, "logs/metrics.csv"):
        assert Path("killed", name).read_bytes() == Path("whole", name).read_bytes(), name
    killed, whole = (
        json.loads(Path(name, "result.json").read_text()) for name in ("killed", "whole")
    )
    assert {**killed, "seconds": None} == {**whole, "seconds": None}


def test_two_runs_never_share_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "recipe=tiny", "hydra.run.dir=mine") == 0
    assert run("train", "recipe=tiny", "hydra.run.dir=mine") == 2
    assert "mine belongs to an earlier run" in capsys.readouterr().err
