"""The machine that measures, and for rehearsals one without a GPU."""

from __future__ import annotations

import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch

from pruneflow.deploy.kernels.launch import Launch

Run = Callable[[], Any]
"""A call without arguments; what it returns are outputs."""


class Machine(ABC):
    """Where calls run and how their time is taken.

    Attributes:
        device: torch's name of it.
        most_variants: Configurations of an engine that are tried at most.
        seconds: For each engine and mode, of its own time, after the least number of calls.
        most_calls: Of an engine in each mode.
    """

    device: ClassVar[str]
    most_variants: ClassVar[int]
    seconds: ClassVar[float]
    most_calls: ClassVar[int]

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The device and versions of what runs on it."""

    @abstractmethod
    def flush(self) -> None:
        """Put something else into the caches."""

    @abstractmethod
    def hold(self) -> None:
        """Keep the device busy, caches untouched, until what follows has been launched."""

    @abstractmethod
    def timed(self, run: Run) -> Callable[[], float]:
        """Call once; the microseconds it took can be read after ``synchronize``."""

    @abstractmethod
    def capture(self, run: Run) -> Run:
        """The same work as one CUDA graph."""

    @abstractmethod
    def compile(self, function: Callable[..., Any], mode: str | None) -> Callable[..., Any]:
        """``torch.compile``."""

    @abstractmethod
    def compile_launches(self, launches: Sequence[Launch]) -> None:
        """Compile Triton's kernels side by side; those that cannot be fail when they run."""

    @abstractmethod
    def copied(self) -> float:
        """Bytes a second that a copy reads and writes."""

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until everything has run."""

    def clock(self) -> int | None:
        """Megahertz at this moment, if that can be known."""
        return None

    def wall(self, run: Run) -> Callable[[], float]:
        """Call once and wait; the microseconds by the computer's clock."""
        self.synchronize()
        start = time.perf_counter_ns()
        run()
        self.synchronize()
        took = (time.perf_counter_ns() - start) / 1e3
        return lambda: took


class Rehearsal(Machine):
    """No GPU: the same program on a CPU; what it takes means nothing."""

    device: ClassVar[str] = "cpu"
    most_variants: ClassVar[int] = 2
    seconds: ClassVar[float] = 0.0
    most_calls: ClassVar[int] = 2

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._flushed = torch.empty(2**10, dtype=torch.uint8)

    def describe(self) -> dict[str, Any]:
        """See base class."""
        return {"device": f"rehearsal on {platform.machine()}", "is_rehearsal": True, **versions()}

    def flush(self) -> None:
        """See base class."""
        self._flushed.fill_(1)

    def hold(self) -> None:
        """See base class; nothing is launched."""

    def timed(self, run: Run) -> Callable[[], float]:
        """See base class."""
        return self.wall(run)

    def capture(self, run: Run) -> Run:
        """See base class."""
        return run

    def compile(self, function: Callable[..., Any], mode: str | None) -> Callable[..., Any]:
        """See base class; Inductor would take minutes."""
        return torch.compile(function, backend="eager", dynamic=False)

    def compile_launches(self, launches: Sequence[Launch]) -> None:
        """See base class; an interpreter compiles nothing."""

    def copied(self) -> float:
        """See base class."""
        source = torch.empty(2**20, dtype=torch.uint8)
        return 2 * source.numel() / self.wall(source.clone)() * 1e6

    def synchronize(self) -> None:
        """See base class; nothing runs beside the caller."""


def versions() -> dict[str, str]:
    """Of Python, torch and Triton."""
    import triton

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton.__version__,
    }
