"""The table on the terminal while a sweep runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

from rich.live import Live

from pruneflow.cli.complain import complain
from pruneflow.cli.console import PlainConsole
from pruneflow.report.live import FINISHED, JobState, ending, live_table
from pruneflow.sweep import board

SECONDS = 0.25
CHATTY = ("hydra", "hydra_plugins")
"""Loggers that announce every job, which the table does too."""


@contextmanager
def live(sweep: Path, jobs: Sequence[Mapping[str, str]]) -> Iterator[None]:
    """Context: a table shows where every job of a sweep is, and failures stand above it at once.

    Jobs may send what they print elsewhere meanwhile; the table stays on this terminal.

    Args:
        sweep: The sweep's folder.
        jobs: What tells each from the others; none where that is not known beforehand.
    """
    console = PlainConsole(file=sys.stdout)
    on_terminal = sys.stderr.isatty()
    table = Live(console=console, auto_refresh=False, transient=True, redirect_stderr=on_terminal)

    def show(states: Mapping[int, JobState]) -> None:
        unknown = max(states, default=-1) + 1 - len(jobs)
        rows = live_table([*jobs, *[{}] * unknown], states, console.height)
        table.update(rows, refresh=True)

    with _quiet(), table, _watched(sweep, show):
        yield


@contextmanager
def lines(sweep: Path) -> Iterator[None]:
    """Context: where there is no terminal, a line tells how each job ended.

    Args:
        sweep: The sweep's folder.
    """
    console, told = PlainConsole(file=sys.stdout), set[int]()

    def show(states: Mapping[int, JobState]) -> None:
        for number, job in sorted(states.items()):
            if job.state == FINISHED and number not in told:
                told.add(number)
                console.print(f"job {number} {ending(job)}", soft_wrap=True)

    with _watched(sweep, show):
        yield


@contextmanager
def _watched(sweep: Path, show: Callable[[Mapping[int, JobState]], None]) -> Iterator[None]:
    board.clear(sweep)
    watcher = _Watcher(sweep, show, sys.stderr)
    watcher.start()
    try:
        yield
    finally:
        watcher.stop()
        board.clear(sweep)


class _Watcher(Thread):
    """Looks at what the jobs tell, again and again."""

    def __init__(
        self, sweep: Path, show: Callable[[Mapping[int, JobState]], None], errors: TextIO
    ) -> None:
        super().__init__(daemon=True)
        self.sweep, self.show, self.errors = sweep, show, errors
        self._told: set[int] = set()
        self._over = Event()

    def run(self) -> None:
        """See base class."""
        while True:
            self._look()
            if self._over.wait(SECONDS):
                break
        self._look()  # at what came last

    def stop(self) -> None:
        """End, when all has been told."""
        self._over.set()
        self.join()

    def _look(self) -> None:
        states = board.read(self.sweep)
        for number, job in sorted(states.items()):
            if job.message and number not in self._told:
                self._told.add(number)
                complain(job.message, self.errors)
        self.show(states)


@contextmanager
def _quiet() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in CHATTY}
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
