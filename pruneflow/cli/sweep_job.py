"""One job of a sweep: what Hydra calls for each point, in this process or a worker's."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pruneflow import runfolder
from pruneflow.cli.complain import complain
from pruneflow.cli.console import PlainConsole
from pruneflow.cli.task import run_config, shown_result
from pruneflow.errors import HeldError, PruneFlowError, ResumeError
from pruneflow.sweep.board import Notes
from pruneflow.sweep.place import Sweep

SCREEN = "screen.log"
"""What a job would have printed, where a table stands on the terminal."""


class LostJobError(PruneFlowError):
    """The process of a job ended without a word."""


class JobError(PruneFlowError):
    """A job of a sweep failed, and has said so; the others go on."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def job_task(config: DictConfig, sweep: Sweep) -> float | JobError | None:
    """One job.

    Returns:
        Its test accuracy, for sweepers. Where Hydra's own sweeper asks, a failure is returned
        and not raised: it has been told, and Hydra would add a line that helps nobody.
    """
    from hydra.core.hydra_config import HydraConfig

    hydra: Any = HydraConfig.get()
    place, number = Path(hydra.runtime.output_dir), int(hydra.job.num)
    with runfolder.writing(place), _screen(sweep, place):
        notes = Notes(sweep.folder, number) if sweep.live else None
        try:
            runfolder.mark_job(place)
            result = _Job(sweep, place, number, notes).run(run_config(config, hydra))
        except (SystemExit, BrokenPipeError) as stop:  # Lightning's Ctrl-C; nobody reads on
            raise KeyboardInterrupt from stop
        except Exception as error:
            return given_back(_told(error, place, number, notes))
    final = result["accuracy"]["final"]
    return None if final is None else float(final)


def lost_job(cause: str, config: Any, sweep: Sweep) -> JobError:
    """Tell of a job whose process died, in a process that lives.

    Args:
        cause: What happened to its process.
        config: The job's configuration, Hydra's part included.
        sweep: The sweep it belongs to.
    """
    number = int(config.hydra.job.num)
    place = Path(str(config.hydra.sweep.dir)) / str(config.hydra.sweep.subdir)
    notes = Notes(sweep.folder, number) if sweep.live else None
    error = LostJobError(f"its process {cause}; what it left is in {runfolder.shown(place)}")
    return _told(error, place, number, notes)


def given_back(failure: JobError) -> JobError:
    """Return a failure where Hydra's own sweeper asks, and raise it for others."""
    from hydra.core.hydra_config import HydraConfig

    from pruneflow.cli.jobs import sweeps_plainly

    if not sweeps_plainly(HydraConfig.instance().cfg):
        raise failure
    return failure


class _Job:
    """A job, where it goes, and who is told of it."""

    def __init__(self, sweep: Sweep, place: Path, number: int, notes: Notes | None) -> None:
        self.sweep, self.place, self.number, self.notes = sweep, place, number, notes

    def run(self, config: Any) -> dict[str, Any]:
        """Train it, unless an earlier job of the same configuration is finished; or go on."""
        from pruneflow.sweep.earlier import homes
        from pruneflow.training.resume import LAST, grounded, require_same

        if config.values["ckpt_path"] == LAST:
            config = _from(None, config)
        config = grounded(config)
        for home in homes(config, self.place, self.sweep):
            runfolder.mark_job(self.place, home)
            try:
                return self._earlier(home) or self._trained(_from(LAST, config), home)
            except HeldError as error:
                if home == self.place:
                    raise
                self._say(f"trains anew, for {error}")
            except ResumeError:
                if runfolder.is_finished(home):  # by another process, just now
                    return self._earlier(home)
                raise
        runfolder.mark_job(self.place)
        if runfolder.has_begun(self.place):
            require_same(config, self.place)
        return self._trained(config, self.place)

    def _earlier(self, home: Path) -> dict[str, Any]:
        """The result of a run that is finished, or nothing."""
        from pruneflow.sweep.earlier import finished_line

        if not runfolder.is_finished(home):
            return {}
        result = runfolder.read_json(home / runfolder.RESULT)
        self._say(finished_line(result, runfolder.shown(home)))
        if self.notes is not None:
            self.notes.finished(result, "finished before")
        return result

    def _trained(self, config: Any, folder: Path) -> dict[str, Any]:
        from pruneflow.training.progress import Watch

        tell = None if self.notes is None else self.notes.tell
        watch, common = Watch(f"job {self.number}: ", tell), self.sweep.common(config.digest)
        result = shown_result(config, folder, watch, common)
        if self.notes is not None:
            self.notes.finished(result)
        return result

    def _say(self, text: str) -> None:
        PlainConsole().print(f"Job {self.number} {text}", soft_wrap=True)


def failures(results: Any) -> list[JobError]:
    """The failures among what Hydra's own sweeper returned; others return what they like."""
    batches = results if isinstance(results, list) else []
    returned = [job._return_value for batch in batches for job in batch]
    return [value for value in returned if isinstance(value, JobError)]


def _from(checkpoint: str | None, config: Any) -> Any:
    return replace(config, values={**config.values, "ckpt_path": checkpoint})


@contextmanager
def _screen(sweep: Sweep, place: Path) -> Iterator[None]:
    """Context: where a table stands on the terminal, a job writes into a file instead."""
    with ExitStack() as stack:
        if sweep.live:
            place.mkdir(parents=True, exist_ok=True)
            log = stack.enter_context((place / SCREEN).open("a", encoding="utf-8"))
            stack.enter_context(redirect_stdout(log))
            stack.enter_context(redirect_stderr(log))
        yield


def _told(error: Exception, place: Path, number: int, notes: Notes | None) -> JobError:
    """Tell of a failure at once, and keep its reason for the sweep's table."""
    ours = isinstance(error, PruneFlowError)
    reason = str(error) if ours else f"{type(error).__name__}: {error}"
    with suppress(OSError):
        runfolder.mark_failed(place, reason.strip().partition("\n")[0])
    text = str(error) if ours else "\n" + "".join(traceback.format_exception(error)).rstrip()
    message = f"job {number} failed: {text}"
    if notes is None:
        complain(message)
    else:
        notes.failed(message)
    return JobError(error.exit_code if isinstance(error, PruneFlowError) else 1)
