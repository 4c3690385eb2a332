"""A job of a sweep in a process of its own: where that dies, the worker lives on and tells.

A pool of workers, as joblib's, ends as a whole when one of its processes dies.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection, wait
from threading import Thread
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from pruneflow.cli.sweep_job import JobError, given_back, job_task, lost_job
from pruneflow.environment import environment
from pruneflow.sweep.place import Sweep

LOADED = ["pruneflow.cli.sweep_job", "pruneflow.training.job"]
"""What is imported once for all jobs of a worker, where the system can fork."""


def isolated_task(config: DictConfig, sweep: Sweep) -> float | JobError | None:
    """``job_task`` in a process of its own."""
    from hydra.core.hydra_config import HydraConfig

    multiprocessing.set_start_method(None, force=True)  # joblib's own, which jobs would inherit
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(LOADED)
    hydra: Any = HydraConfig.instance().cfg
    trees = [OmegaConf.to_container(tree) for tree in (hydra, config)]  # its classes do not travel
    mine, its = context.Pipe()
    job = context.Process(target=_run, args=(its, dict(os.environ), *trees, sweep))
    job.start()
    its.close()
    try:
        wait([mine, job.sentinel])
        outcome = mine.recv() if mine.poll() else None
    except EOFError:
        outcome = None
    job.join()
    if outcome is None:
        return given_back(lost_job(_cause(job.exitcode), hydra, sweep))
    if isinstance(outcome, BaseException):
        raise outcome
    return cast("float | JobError | None", outcome[0])


def _run(
    worker: Connection, variables: dict[str, str], hydra_tree: Any, tree: Any, sweep: Sweep
) -> None:
    """In the new process: the job, and what came of it."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import configure_log, setup_globals

    Thread(target=_end_with, args=(worker,), daemon=True).start()
    with environment(variables):
        setup_globals()
        hydra: Any = OmegaConf.create(hydra_tree)
        HydraConfig.instance().cfg = hydra
        configure_log(hydra.hydra.job_logging, hydra.hydra.verbose)
        try:
            worker.send((job_task(OmegaConf.create(tree), sweep),))
        except (JobError, KeyboardInterrupt) as error:
            worker.send(error)


def _end_with(worker: Connection) -> None:
    """End this process when its worker has ended, which else would train on unseen."""
    try:
        worker.recv()
    except (EOFError, OSError):
        os._exit(1)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}, perhaps for want of memory"
    return f"ended by itself with exit code {code}"
