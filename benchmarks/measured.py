"""What benchmarks share: CPU time, turns and their spread, and on which machine it was."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"

Prepared = Callable[[], Callable[[], Any]]
"""Makes ready what is to be timed, which is not timed, and hands it over."""


def cpu_seconds(command: Sequence[str], folder: Path | None = None) -> float:
    """CPU time of a command and all that it starts, on one thread each.

    Raises:
        CalledProcessError: It failed; what it said is in the error.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_turns(sides: Mapping[str, Prepared], turns: int) -> dict[str, list[float]]:
    """CPU seconds of this process, side after side in every turn, the order reversed each time.

    Args:
        sides: What is compared; each is made ready anew for every turn, and once to warm up.
        turns: How often each is timed.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for turn in range(turns + 1):
        for name in order:
            work = sides[name]()
            with _uncollected():
                began = time.process_time()
                work()
                took = time.process_time() - began
            if turn:
                times[name].append(took)
        order.reverse()
    return times


@contextmanager
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def spread(times: Sequence[float]) -> dict[str, Any]:
    """The median, the least and the greatest of some times, and all of them."""
    turns = [round(each, 6) for each in times]
    middle = round(median(turns), 6)
    return {"median": middle, "low": min(turns), "high": max(turns), "turns": turns}


def shown(times: Mapping[str, Any], unit: float = 1, digits: int = 2) -> str:
    """A spread in a table: ``0.40 (0.39 - 0.45)``."""
    cells = [f"{times[key] / unit:.{digits}f}" for key in ("median", "low", "high")]
    return f"{cells[0]} ({cells[1]} - {cells[2]})"


def here() -> dict[str, Any]:
    """On which machine something is measured, how busy it is, and with which packages."""
    from pruneflow.deploy.measure import machine

    return {"device": machine.device(compiles=False), "versions": machine.versions()}
