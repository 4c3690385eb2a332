"""``pruneflow _worker TASK``: one of the processes that train a run together.

``training.launching`` starts them; nobody types this.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

from pruneflow.errors import ConfigError, PruneFlowError


def main(arguments: Sequence[str]) -> int:
    """Do a process's part of a task."""
    rank = os.environ.get("RANK", "")
    if len(arguments) != 1 or not rank.isdecimal():
        raise ConfigError("_worker is what trainer.devices=2 starts: write that")
    path = Path(arguments[0])
    return _work(path, path.parent.parent, int(rank))


def _work(path: Path, folder: Path, rank: int) -> int:
    from pruneflow.training import ranks

    _redirect(folder, rank)
    ranks.note(folder, rank, ranks.RUNNING)
    on_end = partial(_ended, folder, rank)
    signal.signal(signal.SIGTERM, on_end)
    Thread(target=_end_with_the_launcher, daemon=True).start()
    try:
        _train(path, rank, on_end)
    except BaseException as error:
        traceback.print_exc(file=sys.__stderr__)
        ranks.note(folder, rank, ranks.FAILED, error)
        _leave(error.exit_code if isinstance(error, PruneFlowError) else 1)
    ranks.note(folder, rank, ranks.FINISHED)
    if rank:  # gloo's threads may abort a Python that is ending, which would end process 0 too
        _leave(0)
    return 0


def _train(path: Path, rank: int, on_end: Any) -> None:
    from torch import distributed

    from pruneflow.cli.console import PlainConsole
    from pruneflow.training import ranks
    from pruneflow.training.job import run_here
    from pruneflow.training.parallel import Seat
    from pruneflow.training.progress import Watch
    from pruneflow.training.ranks import Task

    task = Task.read(path)
    tell = partial(ranks.tell, task.folder) if task.watched and rank == 0 else None
    watch = Watch(task.name, tell)
    seat = Seat(rank, on_end)
    run_here(task.config, task.folder, task.checkpoint, PlainConsole(), watch, seat=seat)
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _redirect(folder: Path, rank: int) -> None:
    """Let process 0 alone print where a person reads along; the rest goes into logs.

    What is written below Python, and tracebacks, go into the process's log. Warnings of process 0
    have a file of their own, which whoever started it prints.
    """
    from pruneflow.training import ranks

    with ranks.log(folder, rank).open("a") as log:
        os.dup2(log.fileno(), 2)
        if rank:
            os.dup2(log.fileno(), 1)
    if rank == 0:
        warnings = folder / ranks.FOLDER / ranks.WARNINGS
        sys.stderr = warnings.open("w", buffering=1, encoding="utf-8")


def _end_with_the_launcher() -> None:
    """End when the process has gone that holds the other end of standard input."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _ended(folder: Path, rank: int, *_: Any) -> NoReturn:
    from pruneflow.training import ranks

    ranks.note(folder, rank, ranks.ENDED)
    _leave(128 + signal.SIGTERM)


def _leave(code: int) -> NoReturn:
    """End at once: nobody waits for processes that are gone."""
    for stream in (sys.stdout, sys.stderr, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(code)
