"""On a terminal a sweep is a table; what its jobs would have printed is in their folders."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import only, read, run, tiny


class Terminal(io.StringIO):
    """A standard output that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(patch: pytest.MonkeyPatch) -> Terminal:
    """From now on standard output is a terminal of 80 columns and 24 lines."""
    terminal = Terminal()
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}.items():
        patch.setenv(name, value)
    patch.setattr(sys, "stdout", terminal)
    return terminal


def test_a_sweep_on_a_terminal_is_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pruneflow.cli.live.SECONDS", 0.02)
    monkeypatch.setattr("pruneflow.training.progress.SECONDS", 0.02)
    tiny()
    terminal = on_terminal(monkeypatch)
    assert run("train", "recipe=tiny", "sparsity=0.5", "optimizer.lr=1e30,0.05", "-m") == 1
    seen = terminal.getvalue()
    for word in ("1e+30", "waiting", "dense", "fine-tune", "2/2", "50.00%", "1 failed"):
        assert word in seen, word
    assert "HYDRA" not in seen
    assert "step 20/40" not in seen
    assert "step 20/40" in only("outputs/sweeps/*/1/screen.log").read_text()
    assert capsys.readouterr().err.count("job 0 failed: 'fc1.weight' holds NaN") == 1
    (sweep,) = Path("outputs/sweeps").iterdir()
    assert not (sweep / ".status").exists()
    failed, good = read(sweep / "sweep.json")["jobs"]
    assert failed["failure"].startswith("'fc1.weight' holds NaN")
    assert good["failure"] is None


def test_a_fault_of_ours_is_told_in_full(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("pruneflow.training.job.train", failing)
    tiny()
    terminal = on_terminal(monkeypatch)
    assert run("train", "recipe=tiny", "seed=0,1", "-m") == 1
    said = capsys.readouterr().err
    assert "job 0 failed:" in said
    assert said.count("Traceback") == said.count("RuntimeError: on purpose") == 2
    assert "job 1 failed: RuntimeError: on purpose" in terminal.getvalue()


def test_ctrl_c_ends_the_sweep_and_tells_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*arguments: Any) -> None:
        sys.exit(1)  # as Lightning does

    monkeypatch.setattr("pruneflow.training.job.train", interrupted)
    tiny()
    terminal = on_terminal(monkeypatch)
    assert run("train", "recipe=tiny", "seed=0,1", "-m", "fresh=true") == 130
    again = "Interrupted. To go on, type the same command again, without fresh=true."
    assert again in terminal.getvalue()
    assert not list(Path().glob("outputs/sweeps/*/1"))
