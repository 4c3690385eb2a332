"""Hydra's launchers: what each of them is to give a job that asks for threads or devices."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

from pruneflow.errors import ConfigError
from pruneflow.training.config import RunConfig
from pruneflow.training.devices import processes

JOBLIB, LOCAL, SLURM, RAY = "JoblibLauncher", "LocalLauncher", "SlurmLauncher", "RayLauncher"
STORE = "object_store_memory"


def launcher_of(config: Any) -> str:
    """The class of the launcher in a composed configuration, without its module."""
    return str(config.hydra.launcher._target_).rpartition(".")[2]


def runs_elsewhere(config: Any) -> bool:
    """Whether jobs may run on machines that have what this one lacks."""
    return launcher_of(config) in (SLURM, RAY)


def require_launcher(config: Any) -> None:
    """Refuse a launcher that has nothing here to launch with.

    Raises:
        ConfigError: With what to write instead.
    """
    if launcher_of(config) == SLURM and shutil.which("srun") is None:
        raise ConfigError(
            "hydra/launcher=submitit_slurm: no srun here; start it where SLURM's commands are, or "
            "rehearse with hydra/launcher=submitit_local"
        )


def allotted(config: Any, jobs: Sequence[RunConfig]) -> list[str]:
    """Overrides that let jobs share a machine, or ask a cluster for what they need.

    Where the person said something about it, that stands. ``trainer.threads`` is never changed,
    for other threads may end in other bits.

    Args:
        config: A sweep's, Hydra's part included.
        jobs: What it runs.
    """
    hydra, launcher = config.hydra, config.hydra.launcher
    threads = max((_threads(job) for job in jobs), default=0)
    devices = max((_devices(job) for job in jobs), default=0)
    kind, found = launcher_of(config), []
    if kind == JOBLIB and launcher.n_jobs == -1:
        found.append(f"hydra.launcher.n_jobs={at_once(threads, len(jobs))}")
    if kind == LOCAL and hydra.sweeper.get("max_batch_size", 0) is None:
        found.append(f"hydra.sweeper.max_batch_size={at_once(threads, len(jobs))}")
    if kind == SLURM and threads and launcher.cpus_per_task is None:
        found.append(f"hydra.launcher.cpus_per_task={threads}")
    if kind in (LOCAL, SLURM) and devices and launcher.gpus_per_node is None:
        found.append(f"hydra.launcher.gpus_per_node={devices}")
    if kind == RAY:
        asked = {"num_cpus": threads, "num_gpus": devices}
        found += [
            f"+hydra.launcher.ray.remote.{key}={count}"
            for key, count in asked.items()
            if count and key not in launcher.ray.remote
        ]
        joins = launcher.ray.init.get("address") or os.environ.get("RAY_ADDRESS")
        if joins and STORE not in launcher.ray.init:  # the plugin's own value suits a new Ray only
            found.append(f"+hydra.launcher.ray.init.{STORE}=null")
    return found


def at_once(threads: int, jobs: int) -> int:
    """How many jobs of so many threads this machine has room for; at least one.

    Args:
        threads: Of each job; 0 where it takes what there is.
        jobs: How many there are; 0 where that is not known.
    """
    from joblib import cpu_count

    room = max(1, int(cpu_count()) // max(1, threads))
    return min(room, jobs) if jobs else room


def _threads(job: RunConfig) -> int:
    """Threads of all processes of a job that share a CPU; 0 where that is left open."""
    trainer = job.values["trainer"]
    return int(trainer["threads"] or 0) * (1 if _devices(job) else processes(trainer))


def _devices(job: RunConfig) -> int:
    """GPUs of a job."""
    trainer = job.values["trainer"]
    return processes(trainer) if trainer["accelerator"] in ("gpu", "cuda") else 0
