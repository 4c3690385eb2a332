"""Launchers that wait for every job: one whose worker died is a value among the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pruneflow import runfolder
from pruneflow.errors import ConfigError


@dataclass(frozen=True)
class Lost:
    """What there is of a job whose worker died.

    Attributes:
        cause: What is known of its end.
    """

    cause: str


@contextmanager
def submitit() -> Iterator[None]:
    """Context: submitit's jobs return ``Lost`` in place of raising; Ctrl-C takes them all back."""
    import submitit as engine
    from submitit.core.utils import FailedJobError

    executors: Any = engine.AutoExecutor
    asked: list[Any] = []
    submit = executors.map_array

    def map_array(executor: Any, *arguments: Any) -> list[Any]:
        try:
            jobs = submit(executor, *arguments)
        except FailedJobError as error:
            raise ConfigError(f"hydra/launcher: not submitted: {error}") from None
        asked.extend(jobs)
        return [_Surviving(job) for job in jobs]

    executors.map_array = map_array
    try:
        yield
    except KeyboardInterrupt:
        for job in asked:
            job.cancel(check=False)
        raise
    finally:
        executors.map_array = submit


class _Surviving:
    """A job of submitit's, as Hydra's launcher asks for it."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def results(self) -> list[Any]:
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            return list(self.job.results())
        except (FailedJobError, UncompletedJobError):
            log = runfolder.shown(self.job.paths.stderr)
            return [Lost(f"died, submitit calls it {self.job.state}; its log is {log}")]


@contextmanager
def ray() -> Iterator[None]:
    """Context: ``ray.get`` returns ``Lost`` for a job whose worker died."""
    import ray as engine

    get = engine.get

    def surviving(job: Any) -> Any:
        try:
            return get(job)
        except engine.exceptions.RayError as error:
            return Lost(f"died under Ray: {str(error).strip().partition(chr(10))[0]}")

    engine.get = surviving
    try:
        yield
    except ConnectionError as error:
        raise ConfigError(f"hydra/launcher=ray: {error}") from None
    finally:
        engine.get = get
