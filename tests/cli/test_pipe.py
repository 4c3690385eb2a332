"""A reader of the output that goes away, as ``| head`` does, is nobody's mistake."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("words", [["recipes", "list"], ["--help"], ["plan", "recipe=gradual"]])
def test_a_command_ends_quietly_when_nobody_reads_on(words: list[str]) -> None:
    command = [sys.executable, "-m", "pruneflow", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
