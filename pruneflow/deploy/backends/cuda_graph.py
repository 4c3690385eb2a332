"""A network's launches on a GPU, recorded once and replayed as one."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.compiler import is_compiling

from pruneflow.deploy.backends.base import Run

KEPT = 8
"""Graphs an engine keeps, those used last: of a shape, dtype and stream each."""

WARM_UPS = 3
"""Calls before the recording: kernels are compiled and tuned in them, and libraries made ready."""

_one_recording = threading.RLock()
"""Of all engines: while one is recorded, no other may wait for the device."""


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    given: torch.Tensor
    result: torch.Tensor


class Captured:
    """A run as one CUDA graph for each shape of inputs.

    Inputs are copied into the graph's own memory and results out of it, so that calls stay
    independent of each other. Two threads may call at once: they take turns. What a caller
    captures in a graph of its own becomes part of that.

    Args:
        run: Launches the same work each time it is called with inputs of a shape.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._recorded: OrderedDict[Any, _Recorded] = OrderedDict()
        self._turn = threading.Lock()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs (n, ...) for inputs (n, ...) on a GPU."""
        if is_compiling() or not len(x) or torch.cuda.is_current_stream_capturing():
            return self._run(x)
        key = (x.shape, x.dtype, x.device, torch.cuda.current_stream(x.device).cuda_stream)
        with self._turn, torch.inference_mode(False), torch.no_grad():
            recorded = self._recorded.pop(key, None) or self._record(x)
            self._recorded[key] = recorded
            if len(self._recorded) > KEPT:
                self._recorded.popitem(last=False)
            recorded.given.copy_(x)
            recorded.graph.replay()
            return recorded.result.clone()

    def __reduce__(self) -> tuple[type[Captured], tuple[Run]]:
        """Copies record anew: a graph holds addresses."""
        return type(self), (self._run,)

    def _record(self, x: torch.Tensor) -> _Recorded:
        with torch.cuda.device(x.device), _one_recording:
            given = x.detach().clone()
            make: Callable[[], torch.cuda.Stream] = torch.cuda.Stream  # torch gives it no types
            beside = make()
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):  # a recording that fails does not leave its stream
                for _ in range(WARM_UPS):
                    self._run(given)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
                    result = self._run(given)
            torch.cuda.current_stream().wait_stream(beside)
        return _Recorded(graph, given, result)
