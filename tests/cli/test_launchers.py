"""What launchers are told, what they are given, and what becomes of a job they lose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from pruneflow.cli import launchers
from pruneflow.cli.arguments import parse
from pruneflow.cli.dispatch import Dispatcher, Numbers
from pruneflow.cli.jobs import Composer
from pruneflow.cli.survivors import Lost
from pruneflow.recipe.complaints import plainly
from pruneflow.sweep.place import Sweep
from tests.e2e.command import run

SWEEP = ("recipe=one_shot", "seed=0,1,2,3,4", "-m")


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)


@pytest.mark.parametrize(
    ("launcher", "settings", "told"),
    [
        ("basic", ("trainer.threads=4",), []),
        ("joblib", (), ["hydra.launcher.n_jobs=5"]),
        ("joblib", ("trainer.threads=3",), ["hydra.launcher.n_jobs=2"]),
        ("joblib", ("trainer.threads=16",), ["hydra.launcher.n_jobs=1"]),
        ("joblib", ("hydra.launcher.n_jobs=7",), []),
        ("submitit_local", (), ["hydra.sweeper.max_batch_size=5"]),
        ("submitit_local", ("hydra.sweeper.max_batch_size=1",), []),
        ("submitit_slurm", (), []),
        ("submitit_slurm", ("trainer.threads=4",), ["hydra.launcher.cpus_per_task=4"]),
        ("submitit_slurm", ("trainer.threads=4", "hydra.launcher.cpus_per_task=6"), []),
        (
            "submitit_slurm",
            ("trainer=gpu", "trainer.devices=2"),
            ["hydra.launcher.gpus_per_node=2"],
        ),
    ],
)
def test_jobs_share_a_machine_and_ask_a_cluster_for_what_they_need(
    launcher: str, settings: tuple[str, ...], told: list[str]
) -> None:
    parsed = parse([*SWEEP, f"hydra/launcher={launcher}", *settings])
    composer = Composer("train", parsed)
    first, *others = composer.points(parsed.overrides)
    jobs = [composer.job(first).config] * (1 + len(others))
    assert launchers.allotted(composer.master(parsed.overrides), jobs) == told


def test_ray_is_asked_for_threads_and_devices() -> None:
    parsed = parse([*SWEEP, "trainer.threads=4"])
    job = Composer("train", parsed).job(["recipe=one_shot", "trainer.threads=4"]).config
    config = OmegaConf.create(
        {"hydra": {"launcher": {"_target_": "a.RayLauncher", "ray": {"init": {}, "remote": {}}}}}
    )
    assert launchers.allotted(config, [job]) == ["+hydra.launcher.ray.remote.num_cpus=4"]
    config.hydra.launcher.ray.remote.num_cpus = 1
    assert launchers.allotted(config, [job]) == []
    config.hydra.launcher.ray.init.address = "auto"
    joined = ["+hydra.launcher.ray.init.object_store_memory=null"]
    assert launchers.allotted(config, [job]) == joined
    assert launchers.runs_elsewhere(config)


@pytest.mark.parametrize(
    ("plugin", "package"),
    [("hydra/launcher/joblib", "'pruneflow[sweep]'"), ("hydra/launcher/ray", "'pruneflow[ray]'"),
     ("hydra/sweeper/optuna", "hydra-optuna-sweeper")],
)  # fmt: skip
def test_a_plugin_that_is_absent_is_named_with_what_brings_it(plugin: str, package: str) -> None:
    group, _, name = plugin.rpartition("/")
    told = plainly(ValueError(f"In 'hydra/config': Could not find '{plugin}'\n\nAvailable"))
    assert told.startswith(f"{group}={name} needs: pip install {package}")


def test_slurm_is_looked_for_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert run("train", *SWEEP, "hydra/launcher=submitit_slurm") == 2
    assert "no srun here" in capsys.readouterr().err
    assert not Path("outputs").exists()


class Launcher:
    """Launches nothing; loses the jobs whose numbers it is told."""

    def __init__(self, lost: tuple[int, ...] = ()) -> None:
        self.lost = lost
        self.launched: list[tuple[int, str]] = []
        self.config = OmegaConf.create(
            {"hydra": {"launcher": {"_target_": "x.BasicLauncher"}}},
        )
        self.hydra_context: Any = self
        self.config_loader = self

    def launch(self, jobs: list[list[str]], first: int) -> list[Any]:
        numbered = [(first + position, *job) for position, job in enumerate(jobs)]
        self.launched += numbered
        return [self._ended(number) for number, _ in numbered]

    def _ended(self, number: int) -> Any:
        if number in self.lost:
            return Lost("died")
        return JobReturn(_return_value=float(number), status=JobStatus.COMPLETED)

    def load_sweep_config(self, config: DictConfig, overrides: list[str]) -> DictConfig:
        sweep = {"dir": str(Path("out").absolute()), "subdir": "${hydra.job.num}"}
        sweeper = {"_target_": "x.BasicSweeper"}
        tree = {"job": {"num": "???", "id": "???"}, "sweep": sweep, "sweeper": sweeper}
        return OmegaConf.create({"hydra": tree})


def test_only_jobs_that_are_left_are_launched_and_keep_their_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    launcher, here = Launcher(lost=(13,)), Launcher()
    dispatcher = Dispatcher(launcher, here, Sweep(Path("out")), {11, 12})
    returned = dispatcher.launch([["a"], ["b"], ["c"], ["d"], ["e"]], 10)
    assert here.launched == [(11, "b"), (12, "c")]
    assert launcher.launched == [(10, "a"), (13, "d"), (14, "e")]
    assert [ret.return_value for ret in returned if ret is not returned[3]] == [10, 11, 12, 14]
    assert returned[3].return_value.exit_code == 1
    assert "job 13 failed: its process died; what it left is in out/13" in capsys.readouterr().err
    assert (Path("out/13/.job")).is_file()


def test_numbers_with_gaps_are_added_to() -> None:
    numbers = Numbers([3, 5, 9])
    assert [numbers + position for position in range(3)] == [3, 5, 9]
    assert numbers == 3
