"""Engines are timed turn by turn, through one and the same call; only calls are counted here."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.measure import timing
from pruneflow.deploy.measure.timing import TURNS, Times, interleaved, speedup, threads

X = torch.zeros(2, 3)
TIMES = st.lists(st.floats(1, 1e6), min_size=1, max_size=30)


@pytest.fixture(autouse=True)
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here: there is no need to empty real caches."""
    monkeypatch.setattr(timing, "FLUSH", {"cpu": 8})


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that goes on only when an engine says so, in microseconds."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0] / 1e6)
    monkeypatch.setattr("time.perf_counter_ns", lambda: round(1e3 * now[0]))

    def pass_by(microseconds: float) -> None:
        now[0] += microseconds

    return pass_by


def engine(name: str, log: list[str], tick: Callable[[float], None], time: float) -> Run:
    """Takes as long as it says, and writes its name down."""

    def run(x: torch.Tensor) -> torch.Tensor:
        assert torch.is_inference_mode_enabled()
        assert not gc.isenabled()
        log.append(name)
        tick(time)
        return x

    return run


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1])
def test_engines_take_turns_and_the_order_changes(
    ticks: Callable[[float], None], seconds: float
) -> None:
    log: list[str] = []
    slow, fast = engine("slow", log, ticks, 5000.0), engine("fast", log, ticks, 100.0)
    found = interleaved({"slow": slow, "fast": fast}, X, seconds)
    assert gc.isenabled()
    assert len(found["slow"].warm) == len(found["fast"].warm) >= TURNS
    assert {*found["slow"].warm} == {5000.0}
    assert {*found["fast"].warm} == {100.0}
    assert (found["slow"].cold, found["fast"].cold) == (5000.0, 100.0)
    turns = [name for name, _ in groupby(log)]
    middle = log[len(log) // 4 : len(log) // 2]
    assert {"slow", "fast"} <= set(middle)
    assert len(turns) > TURNS
    assert log.count("fast") > log.count("slow")  # a turn takes about as long for each


def test_it_goes_on_for_as_long_as_was_asked(ticks: Callable[[float], None]) -> None:
    found = interleaved({"a": engine("a", [], ticks, 1000.0)}, X, 0.5)
    assert 0.5e6 <= 3 * sum(found["a"].warm) <= 0.6e6  # two calls a turn, and one before it


def test_no_engine_takes_no_time(ticks: Callable[[float], None]) -> None:
    assert interleaved({}, X, 10.0) == {}


def test_an_engine_that_fails_leaves_the_collector_running() -> None:
    def fail(x: torch.Tensor) -> torch.Tensor:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        interleaved({"a": fail}, X, 0.0)
    assert gc.isenabled()


@given(TIMES, st.floats(0.01, 100))
def test_a_speedup_is_the_ratio_whatever_the_noise(times: list[float], factor: float) -> None:
    fast, slow = Times(times, 1.0), Times([factor * time for time in times], 1.0)
    assert speedup(fast, slow) == pytest.approx(factor)
    assert speedup(slow, fast) == pytest.approx(1 / factor)
    assert speedup(fast, fast) == 1


@given(TIMES)
def test_quantiles_are_in_order(times: list[float]) -> None:
    found = Times(times, 1.0)
    assert min(times) == found.quantile(0) <= found.quantile(0.1) <= found.median
    assert found.median <= found.quantile(0.9) <= found.quantile(1) == max(times)


def test_threads_come_back_whatever_happens() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pytest.raises(KeyError), threads(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_what_is_timed_as_compiled_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile gives up after eight shapes of one function, and says nothing."""
    compiled = []

    def count(module: torch.fx.GraphModule, examples: list[torch.Tensor]) -> Run:
        compiled.append(len(examples))
        forward: Run = module.forward
        return forward

    monkeypatch.setattr("torch.compile", partial(torch.compile, backend=count))
    graph = Graph((3,), (Node("fc", "linear", (INPUT,), "w"),), "fc")
    for seed in range(3):
        run = BACKENDS["torch_compile"].build(graph, {"w": torch.eye(3) * seed}, 1)
        for batch in range(1, 6):
            x = torch.rand(batch, 3)
            for _ in range(2):
                assert torch.equal(run(x), x * seed)
    assert len(compiled) == 15
