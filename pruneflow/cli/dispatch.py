"""How the jobs of a sweep reach a launcher: only those that are left, and each on its own.

Hydra's launchers give up on all jobs when the process of one dies; here the others finish.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import open_dict

from pruneflow.cli import survivors
from pruneflow.cli.isolated import isolated_task
from pruneflow.cli.jobs import sweeps_plainly
from pruneflow.cli.launchers import JOBLIB, LOCAL, RAY, SLURM, allotted, at_once, launcher_of
from pruneflow.cli.sweep_job import lost_job
from pruneflow.environment import environment
from pruneflow.sweep.place import Sweep
from pruneflow.training.config import RunConfig

BASIC = "BasicLauncher"
KILLED_WORKER = "TerminatedWorkerError"
"""Of joblib, when it has lost all its workers."""

THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Way:
    """How the jobs of a sweep are run.

    Attributes:
        is_silent: Whether jobs have no console here, or one that mixes what they print.
        overrides: What the launcher is told beside what the person told it.
        finished: The numbers of the jobs that are finished already.
    """

    is_silent: bool
    overrides: Sequence[str]
    finished: Set[int]

    @classmethod
    def of(cls, config: Any, jobs: Sequence[RunConfig], finished: Set[int]) -> Way:
        """What a composed configuration asks for."""
        return cls(launcher_of(config) in (LOCAL, SLURM, RAY), allotted(config, jobs), finished)


class Numbers(int):
    """Numbers of jobs that have gaps, for launchers, which add a job's position to the first."""

    numbers: Sequence[int]

    def __new__(cls, numbers: Sequence[int]) -> Numbers:
        """The first of them, as a launcher sees it."""
        self = super().__new__(cls, numbers[0])
        self.numbers = numbers
        return self

    def __add__(self, position: int) -> int:
        return self.numbers[position]


class Dispatcher:
    """A launcher as a sweeper sees it.

    Args:
        launcher: The one that was asked for.
        here: Hydra's own, in this process: for jobs that are finished and only say so.
        sweep: The sweep.
        finished: The numbers of those jobs.
    """

    def __init__(self, launcher: Any, here: Any, sweep: Sweep, finished: Set[int]) -> None:
        self.launcher, self.here, self.sweep, self.finished = launcher, here, sweep, finished

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """See Hydra's ``Launcher``."""
        jobs = dict(enumerate(job_overrides, initial_job_idx))
        done = {number: job for number, job in jobs.items() if number in self.finished}
        left = {number: job for number, job in jobs.items() if number not in self.finished}
        returned: dict[int, Any] = {}
        if done:
            found = self.here.launch(list(done.values()), Numbers(list(done)))
            returned.update(zip(done, found, strict=True))
        if left:
            with _survivors(launcher_of(self.launcher.config), len(left)):
                found = self._launched(list(left.values()), Numbers(list(left)))
            returned.update(zip(left, found, strict=True))
        return [self._outcome(number, jobs[number], returned[number]) for number in jobs]

    def _launched(self, jobs: Sequence[Sequence[str]], first: Numbers) -> Any:
        """Launch, and once more where a whole pool of workers died: its jobs go on."""
        try:
            return self.launcher.launch(jobs, first)
        except Exception as error:
            if type(error).__name__ != KILLED_WORKER:
                raise
            return self.launcher.launch(jobs, first)

    def _outcome(self, number: int, overrides: Sequence[str], returned: Any) -> JobReturn:
        if not isinstance(returned, survivors.Lost):
            return cast(JobReturn, returned)
        loader = self.launcher.hydra_context.config_loader
        config = loader.load_sweep_config(self.launcher.config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = config.hydra.job.id = number
        failure = lost_job(returned.cause, config, self.sweep)
        told = sweeps_plainly(config)  # another sweeper is to see that it failed
        return JobReturn(
            overrides=overrides,
            status=JobStatus.COMPLETED if told else JobStatus.FAILED,
            _return_value=failure,
        )


@contextmanager
def dispatched(sweep: Sweep, finished: Set[int]) -> Iterator[None]:
    """Context: launchers get only the jobs that are left, and lose only those that die.

    Args:
        sweep: The sweep.
        finished: The numbers of the jobs that are finished.
    """
    plugins: Any = Plugins.instance()
    make = plugins.instantiate_launcher

    def wrapped(**asked: Any) -> Any:
        if launcher_of(asked["config"]) == BASIC:
            return make(**asked)
        here = BasicLauncher()
        here.setup(**asked)
        if launcher_of(asked["config"]) == JOBLIB:
            asked["task_function"] = partial(isolated_task, sweep=sweep)
        return Dispatcher(make(**asked), here, sweep, finished)

    plugins.instantiate_launcher = wrapped
    try:
        yield
    finally:
        del plugins.instantiate_launcher


@contextmanager
def _survivors(launcher: str, jobs: int) -> Iterator[None]:
    """Context: a launcher waits for every job; those on this machine share its cores."""
    with ExitStack() as stack:
        if launcher == LOCAL and THREADS not in os.environ:
            share = max(1, at_once(1, 0) // jobs)
            stack.enter_context(environment({THREADS: str(share)}))
        if launcher in (LOCAL, SLURM):
            stack.enter_context(survivors.submitit())
        if launcher == RAY:
            stack.enter_context(survivors.ray())
        yield
