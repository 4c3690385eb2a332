"""A run in several processes: ``torch.distributed.run`` starts them, and this one looks on.

They end with this process, however that ends, for they hold the other end of a pipe from it.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from pruneflow import errors, runfolder
from pruneflow.errors import Problem, PruneFlowError, RecipeError, TrainingError
from pruneflow.training import ranks
from pruneflow.training.config import RunConfig
from pruneflow.training.progress import SECONDS, Watch
from pruneflow.training.ranks import Fate, Task

POLL = 0.1
GRACE = 30.0
"""Seconds in which the processes end, once they have to."""

_EXIT = re.compile(r"rank\s*: (\d+) .*\n\s*exitcode\s*: (-?\d+)")
"""In what torch writes of processes that failed."""


def launch(
    config: RunConfig, folder: Path, checkpoint: Path | None, console: Console, watch: Watch
) -> dict[str, Any]:
    """Train a configuration in as many processes as it asks for.

    Args:
        config: What to do, as locked.
        folder: Where everything goes.
        checkpoint: What it begins from, if anything.
        console: Where a person reads along.
        watch: Who else looks on.

    Returns:
        What ``result.json`` holds.

    Raises:
        PruneFlowError: What one of them raised, or which of them died, and how.
    """
    task = Task(config, folder, checkpoint, watch.name, watch.tell is not None).write()
    onlooker = _Onlooker(folder, watch)
    with _launcher(task, config, console) as launcher:
        while launcher.poll() is None:
            time.sleep(POLL)
            onlooker.look()
    onlooker.look()
    if runfolder.is_finished(folder):
        return runfolder.read_json(folder / runfolder.RESULT)
    raise _failure(config, folder, launcher.returncode)


@contextmanager
def _launcher(task: Path, config: RunConfig, console: Console) -> Iterator[subprocess.Popen[bytes]]:
    """Context: the process of torch that starts the others, and ends when they have ended."""
    litter = TemporaryDirectory(prefix="pruneflow-")  # torch makes folders, and leaves them
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--log-dir", litter.name),
        *(f"--nproc_per_node={config.processes}", "-m", "pruneflow", "_worker", str(task)),
    ]
    variables = {**os.environ, "PYTHONSAFEPATH": "1"}  # no module of the person's hides another
    variables.setdefault("OMP_NUM_THREADS", str(config.threads))
    console.file.flush()
    with (task.parent / ranks.LAUNCHER).open("wb") as log:
        launcher = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=_descriptor(console),
            stderr=log,
            env=variables,
            start_new_session=True,  # Ctrl-C comes to this process alone, which ends them
        )
    assert launcher.stdin is not None
    try:
        yield launcher
    finally:
        launcher.stdin.close()
        try:
            launcher.wait(GRACE)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()
        litter.cleanup()


def _descriptor(console: Console) -> int | None:
    """Where a console prints, for other processes."""
    try:
        return console.file.fileno()
    except (OSError, AttributeError):  # it prints into no file
        return None


class _Onlooker:
    """Hands on what process 0 says of itself: warnings, and where the run is."""

    def __init__(self, folder: Path, watch: Watch) -> None:
        self.folder = folder
        self.watch = watch
        self._at = 0
        self._told = 0.0

    def look(self) -> None:
        """Hand on what is new."""
        path = self.folder / ranks.FOLDER / ranks.WARNINGS
        with suppress(FileNotFoundError), path.open("rb") as stream:
            stream.seek(self._at)
            new = stream.read()
            self._at += len(new)
            sys.stderr.write(new.decode(errors="replace"))
            sys.stderr.flush()
        if self.watch.tell is not None and time.monotonic() >= self._told + SECONDS:
            self._told = time.monotonic()
            if progress := ranks.told(self.folder):
                self.watch.tell(progress)


def _failure(config: RunConfig, folder: Path, code: int) -> PruneFlowError:
    """Why a run did not come to its end: the process that was the first to fail."""
    found = ranks.fates(folder, config.processes)
    failed = {rank: fate for rank, fate in enumerate(found) if fate and fate.kind}
    in_order = sorted(failed, key=lambda rank: failed[rank].at)
    for rank in in_order:
        if (error := _raised(failed[rank])) is not None:
            return error
    silent = [rank for rank, fate in enumerate(found) if not fate or fate.state == ranks.RUNNING]
    ended = [rank for rank, fate in enumerate(found) if fate and fate.state == ranks.ENDED]
    log = folder / ranks.FOLDER / ranks.LAUNCHER
    if code < 0 or not any(found):
        how = _how(None, code) if code < 0 else "could not start the processes"
        return TrainingError(f"torch.distributed.run {how}; its log: {_shown(log, config)}")
    (rank, *_) = [*silent, *in_order, *ended]
    fate, log = found[rank], ranks.log(folder, rank)
    who = f"rank {rank} of {config.processes}" + (f" (process {fate.process})" if fate else "")
    again = shlex.quote(f"run={_shown(folder, config)}")
    return TrainingError(
        f"{who} {_how(fate, _exit_code(folder, rank))}; its log: {_shown(log, config)}. "
        f"To go on: pruneflow train {again} ckpt_path=last"
    )


def _shown(path: Path, config: RunConfig) -> Path:
    return runfolder.shown(path, config.home)


def _raised(fate: Fate) -> PruneFlowError | None:
    """The error of ours that a process raised, if it did."""
    cls = getattr(errors, fate.kind, None)
    if not (isinstance(cls, type) and issubclass(cls, PruneFlowError)):
        return None
    return cls(Problem("", fate.message) if issubclass(cls, RecipeError) else fate.message)


def _how(fate: Fate | None, code: int | None) -> str:
    if fate and fate.kind:
        first = fate.message.strip().partition("\n")[0]
        return f"broke down: {fate.kind}: {first}"
    if fate and fate.state == ranks.ENDED:
        return "was asked to end (SIGTERM)"
    if code == -signal.SIGKILL:
        return "was killed (SIGKILL), perhaps for want of memory"
    if code is not None and code < 0:
        return f"crashed ({signal.Signals(-code).name})"
    return "ended without a word" if code is None else f"ended with exit code {code}"


def _exit_code(folder: Path, rank: int) -> int | None:
    """How a process ended, as far as torch says."""
    with suppress(OSError):
        text = (folder / ranks.FOLDER / ranks.LAUNCHER).read_text(errors="replace")
        return next((int(code) for who, code in _EXIT.findall(text) if int(who) == rank), None)
    return None
