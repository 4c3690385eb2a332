"""Four jobs under every launcher: one dies, the others finish; the bits are those of no launcher.

SLURM's commands are played by ``tests/pretend_slurm.py``. Ray, which wants other packages beside it
than the rest of the tests, is tried where it is installed:

    python3 -m venv .venv-ray && .venv-ray/bin/pip install -q -e '.[ray]' \
        pytest pytest-xdist hypothesis
    .venv-ray/bin/python -m pytest -q -m slow -n 0 -k ray tests/e2e/test_launchers.py
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import pretend_slurm
from tests.e2e.command import process, read, tiny

FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl")
KILLER = """\
import os, signal
from hydra.core.hydra_config import HydraConfig
from pruneflow.engine import Engine
advance = Engine.advance

def deadly(self, step):
    if os.environ.get("KILL") == f"{HydraConfig.get().job.num} {step}":
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(self, step)

Engine.advance = deadly
"""
SWEEP = ("train", "recipe=tiny", "sparsity=0.5,0.6,0.7,0.8", "-m", "trainer.threads=1",
         "checkpoint.every_n_steps=7", "imports=[killer]")  # fmt: skip


def installed(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")


JOBLIB = installed("hydra_plugins.hydra_joblib_launcher")
SUBMITIT = installed("hydra_plugins.hydra_submitit_launcher")
RAY = installed("hydra_plugins.hydra_ray_launcher")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A person's own module, and an environment with a SLURM in it."""
    tiny()
    Path("killer.py").write_text(KILLER)
    commands = pretend_slurm.install(tmp_path / "slurm")
    home = {"HOME": str(tmp_path), "PRETEND_SLURM": str(commands)}  # Ray leaves a token at home
    return {**home, "PATH": f"{commands}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep as it is without a launcher."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        tiny()
        Path("killer.py").write_text(KILLER)
        assert process(*SWEEP, "hydra.sweep.dir=.").returncode == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "settings"),
    [
        pytest.param("joblib", ("hydra.launcher.n_jobs=2",), marks=JOBLIB),
        pytest.param("submitit_local", (), marks=SUBMITIT),
        pytest.param("submitit_slurm", ("hydra.launcher.partition=p",), marks=SUBMITIT),
        pytest.param("ray", ("+hydra.launcher.ray.remote.max_retries=0",), marks=RAY),
    ],
)
def test_a_worker_that_dies_takes_one_job_with_it(
    launcher: str, settings: tuple[str, ...], variables: dict[str, str], whole: Path
) -> None:
    sweep = (*SWEEP, "hydra.sweep.dir=out", f"hydra/launcher={launcher}", *settings)
    dead = process(*sweep, env={**variables, "KILL": "2 33"})
    assert dead.returncode == 1, dead.stderr
    assert "job 2 failed: its process" in dead.stderr
    assert "job 2 failed: its process" in dead.stdout
    jobs = read(Path("out/sweep.json"))["jobs"]
    assert [job["result"] is None for job in jobs] == [False, False, True, False]
    before = {path: path.stat().st_mtime_ns for path in Path("out").glob("*/result.json")}
    again = process(*sweep, env=variables)
    assert again.returncode == 0, again.stderr
    assert "of 4 jobs 3 finished, 1 to go on with" in again.stdout.replace("\n", " ")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for job in range(4):
        for name in FILES:
            one, other = (Path(folder, str(job), name) for folder in ("out", whole))
            assert one.read_bytes() == other.read_bytes(), f"{job}/{name}"
