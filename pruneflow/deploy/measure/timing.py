"""Time engines side by side, through one and the same call."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch

from pruneflow.deploy.backends.base import Run

TURN = 2_000
"""Microseconds of calls in one engine's turn, at least one call and at most MOST_CALLS."""

MOST_CALLS = 16
TURNS = 7
COLD_CALLS = 5
SETTLE = 0.02
"""Seconds until threads of the engine before stop waiting actively: 10 ms in ONNX Runtime."""

FLUSH = {"cpu": 64 * 2**20, "cuda": 256 * 2**20}
"""Bytes that are written to empty the caches: twice what they hold, and more."""


@dataclass(frozen=True)
class Times:
    """How long calls of one engine took, in microseconds.

    Attributes:
        warm: The median of each turn; turns of all engines alternate.
        cold: The median of calls with empty caches.
    """

    warm: list[float]
    cold: float

    @property
    def median(self) -> float:
        """Of the turns."""
        return median(self.warm)

    def quantile(self, share: float) -> float:
        """Of the turns."""
        return sorted(self.warm)[round(share * (len(self.warm) - 1))]


def interleaved(runs: Mapping[str, Run], x: torch.Tensor, seconds: float) -> dict[str, Times]:
    """Time engines turn by turn, the order reversed each time.

    Args:
        runs: Engines by name.
        x: Their input.
        seconds: How long to go on, after every engine had TURNS turns.
    """
    with torch.inference_mode(), _no_collection():
        calls = {name: _calls_in_turn(run, x) for name, run in runs.items()}
        warm: dict[str, list[float]] = {name: [] for name in runs}
        order = list(runs)
        if not order:
            return {}
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(warm[order[0]]) < TURNS:
            for name in order:
                if torch.get_num_threads() > 1:
                    time.sleep(SETTLE)
                _time(runs[name], x)
                warm[name].append(median(_time(runs[name], x) for _ in range(calls[name])))
            order.reverse()
        cold = {name: _cold(run, x) for name, run in runs.items()}
    return {name: Times(warm[name], cold[name]) for name in runs}


def speedup(times: Times, baseline: Times) -> float:
    """How many times faster than a baseline: the median over turns, which share their noise."""
    return median(b / t for t, b in zip(times.warm, baseline.warm, strict=True))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Context: torch uses so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _calls_in_turn(run: Run, x: torch.Tensor) -> int:
    run(x)
    took = min(_time(run, x) for _ in range(3))
    return max(1, min(MOST_CALLS, int(TURN / max(took, 1e-3))))


def _time(run: Run, x: torch.Tensor) -> float:
    """From the call to its result: on a GPU, until it is there."""
    start = time.perf_counter_ns()
    run(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return (time.perf_counter_ns() - start) / 1e3


def _cold(run: Run, x: torch.Tensor) -> float:
    flushed = torch.empty(FLUSH[x.device.type], dtype=torch.uint8, device=x.device)
    took = []
    for i in range(COLD_CALLS):
        flushed.fill_(i)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        took.append(_time(run, x))
    return median(took)


@contextmanager
def _no_collection() -> Iterator[None]:
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
