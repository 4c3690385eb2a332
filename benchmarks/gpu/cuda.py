"""A CUDA device: its clock, its caches, its graphs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, ClassVar

import torch

from benchmarks.gpu.machine import Machine, Run, versions
from pruneflow.deploy.kernels.launch import Launch

LEAST_FLUSHED = 256 * 2**20
"""Bytes; writing them takes a GPU longer than a CPU needs to launch what follows."""

HELD = 100_000
"""Clock cycles, about 60 microseconds, in which a CPU launches a graph."""

WARM_UPS = 3


class Gpu(Machine):
    """A CUDA device; inputs and sums are not rounded further than their dtype says."""

    device: ClassVar[str] = "cuda"
    most_variants: ClassVar[int] = 64
    seconds: ClassVar[float] = 0.02
    most_calls: ClassVar[int] = 100

    def __init__(self) -> None:
        matmul = torch.backends.cuda.matmul
        matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        matmul.allow_bf16_reduced_precision_reduction = False
        matmul.allow_fp16_reduced_precision_reduction = False
        self._properties = torch.cuda.get_device_properties(0)
        size = max(LEAST_FLUSHED, 2 * self._properties.L2_cache_size)
        self._flushed = torch.empty(size, dtype=torch.uint8, device=self.device)

    def describe(self) -> dict[str, Any]:
        """See base class."""
        found = self._properties
        return {
            "device": found.name,
            "arch": f"sm_{found.major}{found.minor}",
            "multiprocessors": found.multi_processor_count,
            "l2_bytes": found.L2_cache_size,
            "memory_bytes": found.total_memory,
            "driver": _driver(),
            "cuda": torch.version.cuda,
            **versions(),
        }

    def flush(self) -> None:
        """See base class."""
        self._flushed.fill_(1)

    def hold(self) -> None:
        """See base class."""
        torch.cuda._sleep(HELD)

    def timed(self, run: Run) -> Callable[[], float]:
        """See base class."""
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        return lambda: start.elapsed_time(end) * 1e3

    def capture(self, run: Run) -> Run:
        """See base class."""
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                run()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = run()

        def replay() -> Any:
            graph.replay()
            return result

        return replay

    def compile(self, function: Callable[..., Any], mode: str | None) -> Callable[..., Any]:
        """See base class."""
        return torch.compile(function, mode=mode, dynamic=False)

    def compile_launches(self, launches: Sequence[Launch]) -> None:
        """See base class."""
        copy_context().run(_compiled, launches)

    def copied(self) -> float:
        """See base class."""
        source = torch.empty(2**30, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        takes = [self.timed(lambda: target.copy_(source)) for _ in range(10)]
        self.synchronize()
        return 2 * source.numel() / min(take() for take in takes) * 1e6

    def synchronize(self) -> None:
        """See base class."""
        torch.cuda.synchronize()

    def clock(self) -> int | None:
        """See base class."""
        with suppress(Exception):  # NVML and its package may be missing or refuse
            return int(torch.cuda.clock_rate())
        return None


def _compiled(launches: Sequence[Launch]) -> None:
    """In a context of its own: whatever interrupts it, Triton is out of its mode afterwards."""
    import triton

    with ThreadPoolExecutor() as pool, triton.AsyncCompileMode(pool, ignore_errors=True):
        for launch in launches:
            cooperative = {"launch_cooperative_grid": True} if launch.is_cooperative else {}
            launch.function.warmup(
                grid=launch.grid, num_warps=launch.warps, num_stages=launch.stages,
                **launch.arguments, **launch.constants, **cooperative,
            )  # fmt: skip


def _driver() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        return done.stdout.strip() or None
    return None
