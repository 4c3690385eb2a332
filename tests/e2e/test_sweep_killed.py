"""A sweep that is killed, and typed again, ends with the bits of one that nobody killed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from pruneflow.engine import Engine
from tests.e2e.command import process, read, run, tiny
from tests.e2e.stub import DiedError
from tests.e2e.test_resume import KILLER

FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl")
SWEEP = ("train", "recipe=tiny", "sparsity=0.5,0.6", "-m", "checkpoint.every_n_steps=7",
         "trainer.threads=1")  # fmt: skip


def require_same_bits(sweep: Path, whole: Path) -> None:
    """Both jobs of two sweeps left the same files."""
    for job in ("0", "1"):
        for name in FILES:
            one, other = sweep / job / name, whole / job / name
            assert one.read_bytes() == other.read_bytes(), f"{job}/{name}"
    results = [job["result"] for job in read(sweep / "sweep.json")["jobs"]]
    assert [result["status"] for result in results] == ["complete", "complete"]


def test_the_same_command_again_ends_with_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny()
    assert run(*SWEEP, "hydra.sweep.dir=whole", "share=false") == 0
    advance, steps = Engine.advance, iter(range(10_000))
    deadly = (10, 50, 60)  # in job 0, and twice in job 1

    def dying(self: Engine, step: int) -> Any:
        if next(steps) in deadly:
            raise DiedError
        return advance(self, step)

    monkeypatch.setattr(Engine, "advance", dying)
    for _ in deadly:
        with pytest.raises(DiedError):
            run(*SWEEP)
    assert run(*SWEEP) == 0
    (sweep,) = Path("outputs/sweeps").iterdir()
    require_same_bits(sweep, Path("whole"))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")])
def test_a_process_that_is_killed_leaves_nothing_in_the_way(launcher: tuple[str, ...]) -> None:
    tiny()
    Path("killer.py").write_text(KILLER)
    sweep = (*SWEEP, "imports=[killer]", *launcher)
    assert process(*sweep, "hydra.sweep.dir=whole", "share=false").returncode == 0
    for step in ("10", "33"):
        killed = process(*sweep, env={"KILL_AT": step})
        assert killed.returncode == (1 if launcher else -signal.SIGKILL), killed.stderr
    done = process(*sweep)
    assert done.returncode == 0, done.stderr
    (folder,) = Path("outputs/sweeps").iterdir()
    assert f"Continuing {folder}: of 2 jobs" in done.stdout.replace("\n", "")
    require_same_bits(folder, Path("whole"))
