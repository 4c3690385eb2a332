"""The table on the terminal while a sweep runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TextIO

from rich.live import Live

from pruneflow.cli.complain import complain
from pruneflow.cli.console import PlainConsole
from pruneflow.report.live import live_table
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
    board.clear(sweep)
    console = PlainConsole(file=sys.stdout)
    on_terminal = sys.stderr.isatty()
    table = Live(console=console, auto_refresh=False, transient=True, redirect_stderr=on_terminal)
    with _quiet(), table:
        watcher = _Watcher(sweep, jobs, table, sys.stderr)
        watcher.start()
        try:
            yield
        finally:
            watcher.stop()
            board.clear(sweep)


class _Watcher(Thread):
    """Looks at what the jobs tell, again and again."""

    def __init__(
        self, sweep: Path, jobs: Sequence[Mapping[str, str]], table: Live, errors: TextIO
    ) -> None:
        super().__init__(daemon=True)
        self.sweep, self.jobs, self.table, self.errors = sweep, jobs, table, errors
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
        unknown = max(states, default=-1) + 1 - len(self.jobs)
        height = self.table.console.height
        table = live_table([*self.jobs, *[{}] * unknown], states, height)
        self.table.update(table, refresh=True)


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
