"""A folder says what ran in it: a run that goes on, or is had again, is that run and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from tests.e2e.command import process, read, run, trained

FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run ``A``, and ``B``, which began from a checkpoint of it."""
    base = tmp_path_factory.mktemp("runs")
    trained(base, "checkpoint.every_n_steps=7", name="A")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        checkpoint = sorted(Path("A/checkpoints").iterdir())[0]
        arguments = ("recipe=tiny", f"ckpt_path={checkpoint}", "hydra.run.dir=B")
        assert run("train", *arguments) == 0
    return base


@pytest.fixture
def runs(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(base)
    return base


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("seed=1", "seed is 1 here and 0 there"),
        ("optimizer.lr=0.1", "optimizer.lr is 0.1 here and 0.05 there"),
        ("optimizer=adam", 'optimizer.name is "adam" here and "sgd" there'),
        ("sparsity=0.5", "recipe.modifiers.prune.sparsity is 0.5 here and 0.9 there"),
    ],
)
def test_another_configuration_does_not_go_on_in_a_folder(
    runs: Path, change: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "recipe=tiny", "hydra.run.dir=A", "ckpt_path=last", change) == 2
    said = capsys.readouterr().err
    assert named in said
    assert "Error executing job" not in said


def test_a_finished_run_does_not_go_on(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "recipe=tiny", "hydra.run.dir=A", "ckpt_path=last") == 2
    assert "A is finished" in capsys.readouterr().err
    assert run("train", "run=A", "ckpt_path=last") == 2
    assert "A is finished" in capsys.readouterr().err


def test_a_run_from_a_checkpoint_is_repeated_from_that_checkpoint(runs: Path) -> None:
    assert run("train", "run=B", "hydra.run.dir='B again'") == 0
    for name in FILES:
        assert Path("B again", name).read_bytes() == Path("B", name).read_bytes(), name
    hashes = {name: read(Path(name, "result.json"))["config_hash"] for name in ("A", "B")}
    assert read(Path("B again/result.json"))["config_hash"] == hashes["B"] != hashes["A"]


@pytest.mark.parametrize("again", [("run=C",), ("run=C", "ckpt_path=last")])
def test_a_starting_point_that_is_gone_or_changed_is_missed(
    runs: Path, tmp_path: Path, again: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "start.ckpt"
    checkpoint.write_bytes(b"what it was")
    lock = yaml.safe_load(Path("B/run.lock.yaml").read_text())
    lock["start"]["checkpoint"] = str(checkpoint)
    Path("C").mkdir(exist_ok=True)
    Path("C/run.lock.yaml").write_text(yaml.safe_dump(lock))
    assert run("train", *again) == 2
    assert "has changed since the run began from it" in capsys.readouterr().err
    checkpoint.unlink()
    assert run("train", *again) == 2
    assert f"no file '{checkpoint}'" in capsys.readouterr().err


def test_a_run_that_never_wrote_a_checkpoint_goes_on_from_where_it_began(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("D").mkdir()
    Path("D/run.lock.yaml").write_bytes(Path("B/run.lock.yaml").read_bytes())
    assert run("train", "recipe=tiny", "hydra.run.dir=D", "ckpt_path=last") == 0
    assert "no checkpoint of its own yet" in " ".join(capsys.readouterr().out.split())
    for name in FILES:
        assert Path("D", name).read_bytes() == Path("B", name).read_bytes(), name


def test_a_repeated_run_takes_as_many_threads(runs: Path) -> None:
    lock = yaml.safe_load(Path("A/run.lock.yaml").read_text())
    assert lock["threads"] == torch.get_num_threads()
    Path("E").mkdir()
    Path("E/run.lock.yaml").write_text(yaml.safe_dump({**lock, "threads": 2}))
    before = torch.get_num_threads()
    try:
        assert run("train", "run=E", "hydra.run.dir=E2") == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert yaml.safe_load(Path("E2/run.lock.yaml").read_text())["threads"] == 2


WORD = """\
from dataclasses import dataclass
from pruneflow.modifiers.base import modifier
from pruneflow.modifiers.freeze_mask import FreezeMask

@modifier("my_freeze")
@dataclass(frozen=True, kw_only=True)
class MyFreeze(FreezeMask):
    "Freeze in words of my own."
"""


def test_a_run_in_words_of_ones_own_can_be_repeated(runs: Path) -> None:
    Path("my_word.py").write_text(WORD)
    lock = yaml.safe_load(Path("A/run.lock.yaml").read_text())
    lock["config"]["imports"] = ["my_word"]
    lock["recipe"] = {"length": "1ep", "modifiers": {"freeze": {"type": "my_freeze"}}}
    Path("G").mkdir()
    Path("G/run.lock.yaml").write_text(yaml.safe_dump(lock))
    assert "imports my_word, and was not written by you" in process("train", "run=G").stderr
    done = process("train", "run=G", "hydra.run.dir=G2", "trust=true")
    assert done.returncode == 0, done.stderr
