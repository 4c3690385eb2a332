"""Calls of many engines, timed in turns: one after the other, the order reversed each round.

Modes: ``eager`` and ``graph`` find the caches cold, on the device's clock; ``warm`` repeats a
graph at once; ``eager_wall`` and ``graph_wall`` wait for each result, on the computer's clock.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from benchmarks.gpu.machine import Machine, Run

Samples = list[float]
"""Microseconds, call by call."""

LEAST_CALLS, QUICK_CALLS = 5, 3
LAYER_MODES = ("eager", "graph", "warm")
NETWORK_MODES = (*LAYER_MODES, "eager_wall", "graph_wall")


@dataclass(frozen=True)
class Runs:
    """An engine ready to be timed.

    Attributes:
        eager: A plain call.
        graph: The same, captured; None where that cannot be.
    """

    eager: Run
    graph: Run | None


def timed(machine: Machine, engines: Mapping[str, Runs], mode: str) -> dict[str, Samples]:
    """Time every engine that has a mode.

    An engine sits out once its own calls took ``machine.seconds``, after LEAST_CALLS of them.
    """
    runs = {
        name: run
        for name, engine in engines.items()
        if (run := engine.eager if mode.startswith("eager") else engine.graph) is not None
    }
    with _no_collection():
        for run in runs.values():
            run()
        machine.synchronize()
        found: dict[str, Samples] = {name: [] for name in runs}
        order = list(runs)
        while order:
            reads = [(name, _take(machine, runs[name], mode)) for name in order]
            machine.synchronize()
            for name, read in reads:
                found[name].append(read())
            order = [name for name in reversed(order) if not _is_done(machine, found[name])]
    return found


def quick(machine: Machine, run: Run) -> float:
    """About how long a call takes, with cold caches."""
    reads = [_take(machine, run, "eager") for _ in range(min(QUICK_CALLS, machine.most_calls))]
    machine.synchronize()
    return median(read() for read in reads)


def summary(samples: Samples) -> dict[str, float | int]:
    """Quantiles in microseconds, and of how many calls."""
    ordered = sorted(samples)
    found: dict[str, float | int] = {
        f"p{percent}": round(ordered[round(percent / 100 * (len(ordered) - 1))], 3)
        for percent in (10, 50, 90)
    }
    return found | {"calls": len(ordered)}


def _take(machine: Machine, run: Run, mode: str) -> Callable[[], float]:
    if mode.endswith("_wall"):
        return machine.wall(run)
    if mode == "warm":
        machine.hold()
    else:
        machine.flush()
    return machine.timed(run)


def _is_done(machine: Machine, samples: Samples) -> bool:
    enough = len(samples) >= LEAST_CALLS and sum(samples) >= machine.seconds * 1e6
    return enough or len(samples) >= machine.most_calls


@contextmanager
def _no_collection() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
