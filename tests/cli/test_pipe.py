"""A reader of the output that goes away, as ``| head`` does, is nobody's mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import tiny


@pytest.mark.parametrize("words", [["recipes", "list"], ["--help"], ["plan", "recipe=gradual"]])
def test_a_command_ends_quietly_when_nobody_reads_on(words: list[str]) -> None:
    command = [sys.executable, "-m", "pruneflow", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("words", [[], ["seed=0,1", "-m"]])
def test_a_training_that_nobody_reads_is_interrupted_and_has_not_failed(words: list[str]) -> None:
    tiny()
    command = [sys.executable, "-m", "pruneflow", "train", "recipe=tiny", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert "failed" not in said
    assert not list(Path("outputs").rglob("result.json"))
