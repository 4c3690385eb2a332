"""Engines and a clock that tests control: what is right, what fails, and what is fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pytest
import torch
from torch.nn.parameter import is_lazy

from pruneflow.deploy.api import Deployment, deploy_model
from pruneflow.deploy.backends.base import BACKENDS, Backend, Run, Tensors
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import Graph
from pruneflow.deploy.measure.timing import Times
from pruneflow.deploy.tracing.trace import Traced, trace

Change = Callable[[torch.Tensor], Any]

QUICK: dict[str, Any] = {"batches": (1, 3), "threads": 1, "seconds": 0.0}
"""Settings of a deployment that is over at once."""


class Fake(Backend):
    """Dense torch under another name, or what a test makes of it."""

    kind: Literal["dense", "sparse"]  # type: ignore[misc]

    def __init__(
        self,
        kind: Literal["dense", "sparse"] = "sparse",
        change: Change = lambda y: y,
        absent: str | None = None,
        refusal: str | None = None,
        takes_layers: bool = True,
    ) -> None:
        self.kind, self.change = kind, change
        self.absent, self.refusal = absent, refusal
        self.takes_layers = takes_layers  # type: ignore[misc]
        self.calls: list[int] = []

    def version(self) -> str:
        """See base class."""
        return "1.0"

    def missing(self) -> str | None:
        """See base class."""
        return self.absent

    def refuses(self, graph: Graph) -> str | None:
        """See base class."""
        return self.refusal

    def build(self, graph: Graph, tensors: Tensors, threads: int) -> Run:
        """See base class."""
        inner = GraphModule(graph, tensors).eval()

        def run(x: torch.Tensor) -> torch.Tensor:
            self.calls.append(len(x))
            y: torch.Tensor = self.change(inner(x))
            return y

        run.tensors = tensors  # type: ignore[attr-defined]
        return run


def raising(error: Exception) -> Change:
    """An engine's result that is an exception."""

    def change(y: torch.Tensor) -> torch.Tensor:
        raise error

    return change


class Clock:
    """Says how long engines take: by their name, then by batch and threads where that differs."""

    def __init__(self) -> None:
        self.times: dict[tuple[object, ...], float] = {}
        self.timed: set[str] = set()

    def set(self, name: str, time: float, *place: int) -> None:
        """An engine's time in microseconds, at a batch, at a batch and a number of threads."""
        self.times[(name, *place)] = time

    def time(self, name: str, batch: int, threads: int) -> float:
        """100 where nothing was set."""
        keys: list[tuple[object, ...]] = [(name, batch, threads), (name, batch), (name,)]
        return next((self.times[key] for key in keys if key in self.times), 100.0)

    def interleaved(
        self, runs: Mapping[str, Run], x: torch.Tensor, seconds: float
    ) -> dict[str, Times]:
        """In place of ``timing.interleaved``; every engine is called once."""
        found = {}
        for name, run in runs.items():
            with torch.inference_mode():
                run(x)
            time = self.time(name, len(x), torch.get_num_threads())
            found[name] = Times([time] * 3, 2 * time)
        self.timed |= runs.keys()
        return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nothing is timed: every engine takes as long as the test says."""
    clock = Clock()
    for module in ("grid", "crossover"):
        monkeypatch.setattr(f"pruneflow.deploy.measure.{module}.interleaved", clock.interleaved)
    return clock


_TRACED: dict[object, Traced] = {}


@pytest.fixture
def traced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same module, with the same numbers in it, is traced once in all tests."""

    def remembered(module: torch.nn.Module, example: torch.Tensor) -> Traced:
        plain = all(type(each).__module__.startswith("torch.nn") for each in module.modules())
        if not plain or any(is_lazy(held) or held.is_meta for held in module.parameters()):
            return trace(module, example)
        numbers = [(name, bytes(_raw(held))) for name, held in module.state_dict().items()]
        key = (repr(module), example.shape[1:], example.dtype, *numbers)
        if key not in _TRACED:
            _TRACED[key] = trace(module, example)
        return _TRACED[key]

    monkeypatch.setattr("pruneflow.deploy.network.trace", remembered)


def _raw(tensor: torch.Tensor) -> Any:
    return tensor.detach().reshape(-1).view(torch.uint8).numpy()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Fake]:
    """Adds a backend for the length of the test: ``register(name, ...)``."""

    def add(name: str, *arguments: Any, **options: Any) -> Fake:
        fake = Fake(*arguments, **options)
        monkeypatch.setitem(BACKENDS._entries, name, fake)
        return fake

    return add


def deploy(
    module: torch.nn.Module, example: torch.Tensor, *candidates: str, **options: Any
) -> Deployment:
    """Deploy into ``out`` with few candidates, quickly."""
    chosen = {"candidates": candidates or ("torch",), **QUICK, **options}
    return deploy_model(module, example, chosen.pop("folder", "out"), **chosen)
