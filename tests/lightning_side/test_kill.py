"""Real processes, really killed: what is left on the disk is enough to end the run exactly."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pruneflow.checkpoint import newest_checkpoint
from pruneflow.runfolder import temporary


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The fingerprint of a run that nobody killed."""
    result = _live(tmp_path_factory.mktemp("straight"))
    assert result is not None
    assert result["complete"]
    return result


def _live(folder: Path, *death: object) -> Any:
    """Run a process to its end, or to its death."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.lightning_side.victim", str(folder.resolve())]
    process = subprocess.run(
        [*command, *map(str, death or ("none",))],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if death:
        assert process.returncode == -signal.SIGKILL, process.stderr
        return None
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


def _assert_whole(folder: Path) -> None:
    """Whatever has a final name can be read, all of it."""
    for path in folder.glob("*.ckpt"):
        assert torch.load(path, weights_only=True)["callbacks"]["pruneflow.recipe"]


def _same(resumed: Any, straight: Any) -> bool:
    return {**resumed, "from": None} == {**straight, "from": None}


def test_killed_inside_rounds_and_epochs(tmp_path: Path, straight: Any) -> None:
    """Inside of the first round, right after a rewind, and an epoch's first step."""
    for step in (9, 18, 37):
        _live(tmp_path, "step", step)
        _assert_whole(tmp_path)
    resumed = _live(tmp_path)
    assert resumed["from"] == "step00000036.ckpt"
    assert _same(resumed, straight)


def test_killed_in_the_middle_of_writing(tmp_path: Path, straight: Any) -> None:
    """Half a file never has a final name, and the next process sweeps it away."""
    _live(tmp_path, "write", 20)
    leftovers = list(tmp_path.glob("*.part"))
    assert len(leftovers) == 1
    with pytest.raises((RuntimeError, OSError)):
        torch.load(leftovers[0], weights_only=True)
    _assert_whole(tmp_path)
    assert newest_checkpoint(tmp_path).name == "step00000016.ckpt"
    _live(tmp_path, "publish", 32)
    assert len(list(tmp_path.glob("*.part"))) == 1  # the second's own; the first is gone
    resumed = _live(tmp_path)
    assert resumed["from"] == "step00000028.ckpt"
    assert _same(resumed, straight)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".ckpt"]
    assert temporary(tmp_path / "a.ckpt").suffix == ".part"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_anywhere(tmp_path: Path, straight: Any, seed: int) -> None:
    """Three deaths a run, at random places in random ways."""
    draw = random.Random(seed)
    for low in (1, 15, 29):
        _live(tmp_path, draw.choice(["step", "write", "publish"]), draw.randrange(low, low + 14))
        _assert_whole(tmp_path)
    assert _same(_live(tmp_path), straight)
