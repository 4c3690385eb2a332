"""Ctrl-C and SIGTERM save a checkpoint and name the command that goes on; again, they only stop."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from pruneflow.checkpoint import newest_checkpoint
from pruneflow.engine import Engine
from tests.e2e.command import run, tiny

ARGUMENTS = ("train", "recipe=tiny", "trainer.threads=1", "share=false")
FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl",
         "logs/metrics.csv")  # fmt: skip


def asked(monkeypatch: pytest.MonkeyPatch, signals: dict[int, signal.Signals]) -> None:
    """Let signals come at steps of the next trainings."""
    advance = Engine.advance

    def struck(self: Engine, step: int) -> Any:
        if step in signals:
            os.kill(os.getpid(), signals.pop(step))
        return advance(self, step)

    monkeypatch.setattr(Engine, "advance", struck)


def test_a_run_that_was_asked_to_stop_goes_on_exactly_where_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny()
    assert run(*ARGUMENTS, "hydra.run.dir=whole") == 0
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    asked(monkeypatch, {13: signal.SIGINT, 40: signal.SIGTERM})
    assert run(*ARGUMENTS, "hydra.run.dir=mine") == 130
    assert newest_checkpoint(Path("mine/checkpoints")) == Path("mine/checkpoints/step00000013.ckpt")
    again = "train run=mine ckpt_path=last"
    assert f"Interrupted. To go on: pruneflow {again}" in capsys.readouterr().out
    assert run(*again.split()) == 130
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
    assert run(*again.split()) == 0
    for name in FILES:
        assert Path("mine", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_it_stops_before_the_test_where_training_ends_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny()
    asked(monkeypatch, {60: signal.SIGINT})
    assert run(*ARGUMENTS, "hydra.run.dir=mine") == 130
    assert newest_checkpoint(Path("mine/checkpoints")) == Path("mine/checkpoints/step00000060.ckpt")
    assert not Path("mine/result.json").exists()
    assert run("train", "run=mine", "ckpt_path=last") == 0


def test_the_second_time_it_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny()
    advance = Engine.advance

    def struck(self: Engine, step: int) -> Any:
        for _ in range(2 if step == 13 else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self, step)

    monkeypatch.setattr(Engine, "advance", struck)
    assert run(*ARGUMENTS, "hydra.run.dir=mine") == 130
    assert newest_checkpoint(Path("mine/checkpoints")) is None
