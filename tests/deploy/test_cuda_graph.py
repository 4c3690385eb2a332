"""Launches recorded once: what comes out is what would have come out, and belongs to the caller."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch

from pruneflow.deploy.backends import cuda_graph
from pruneflow.deploy.backends.cuda_graph import Captured
from tests.deploy.gpu import needs_gpu
from tests.deploy.side_by_side import assert_as_alone


class Doubling(torch.nn.Module):
    """Two launches, counted when they are made from Python."""

    calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Doubling.calls += 1
        return (x * 2).relu()


def test_nothing_is_recorded_for_no_samples() -> None:
    captured = Captured(Doubling())
    assert captured(torch.zeros(0, 3)).shape == (0, 3)


def test_a_compiler_sees_what_is_recorded() -> None:
    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.run = Captured(Doubling())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.run(x)

    exported = torch.export.export(Holder(), (torch.ones(2, 3),))
    assert torch.equal(exported.module()(torch.full((2, 3), -1.0)), torch.zeros(2, 3))


def test_what_a_caller_captures_is_launched_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    captured = Captured(Doubling())
    assert torch.equal(captured(torch.ones(2, 3)), torch.full((2, 3), 2.0))
    assert not captured._recorded


def test_engines_are_recorded_one_at_a_time_on_a_stream_that_they_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered: list[str] = []
    overlaps: list[int] = []

    class Stream:
        cuda_stream = 0

        def wait_stream(self, other: object) -> None:
            pass

    @contextmanager
    def stream(beside: Stream) -> Iterator[None]:
        entered.append("in")
        overlaps.append(entered.count("in") - entered.count("out"))
        time.sleep(0.01)
        try:
            yield
        finally:
            entered.append("out")

    @contextmanager
    def graph(recorded: object, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        yield
        raise RuntimeError("the recording broke")

    fakes: dict[str, Any] = {
        "Stream": Stream, "stream": stream, "graph": graph, "CUDAGraph": object,
        "device": lambda device: nullcontext(), "is_current_stream_capturing": lambda: False,
        "current_stream": lambda device=None: Stream(),
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)

    def record() -> None:
        with pytest.raises(RuntimeError, match="the recording broke"):
            Captured(Doubling())(torch.ones(2, 3))

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 4
    assert entered == ["in", "out"] * 4


@needs_gpu
def test_a_recording_that_fails_leaves_its_stream() -> None:
    def reads(x: torch.Tensor) -> torch.Tensor:
        return x * float(x.sum())  # waits for the GPU: that cannot be recorded

    before = torch.cuda.current_stream()
    x = torch.ones(2, 3, device="cuda")
    with pytest.raises(RuntimeError):
        Captured(reads)(x)
    assert torch.cuda.current_stream() == before
    assert torch.equal(Captured(Doubling())(x), x * 2)


@needs_gpu
def test_it_can_be_part_of_a_callers_graph() -> None:
    captured, x = Captured(Doubling()), torch.ones(2, 3, device="cuda")
    captured(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = captured(x)
    x.fill_(3)
    graph.replay()
    assert torch.equal(y, x * 2)


@needs_gpu
def test_results_are_right_and_stay() -> None:
    captured = Captured(Doubling())
    x = torch.randn(4, 5, device="cuda")
    first = captured(x)
    kept, calls = first.clone(), Doubling.calls
    second = captured(-x)
    assert Doubling.calls == calls
    assert torch.equal(first, kept)
    assert torch.equal(kept, (x * 2).relu())
    assert torch.equal(second, (-x * 2).relu())


@needs_gpu
def test_every_shape_and_dtype_is_recorded_and_few_are_kept() -> None:
    captured = Captured(Doubling())
    for dtype in (torch.float32, torch.bfloat16):
        for batch in range(1, cuda_graph.KEPT + 3):
            x = torch.randn(batch, 5, device="cuda", dtype=dtype)
            assert torch.equal(captured(x), (x * 2).relu())
    assert len(captured._recorded) == cuda_graph.KEPT


@needs_gpu
def test_threads_and_streams_do_not_mix() -> None:
    captured = Captured(Doubling())
    inputs = [torch.randn(batch, 5, device="cuda") for batch in (1, 1, 33)]
    assert_as_alone(captured, inputs, 50)
    beside = torch.cuda.Stream()
    with torch.cuda.stream(beside):
        y = captured(inputs[0])
    beside.synchronize()
    assert torch.equal(y, (inputs[0] * 2).relu())


@needs_gpu
def test_in_and_out_of_inference_mode() -> None:
    captured, x = Captured(Doubling()), torch.randn(3, 5, device="cuda")
    with torch.inference_mode():
        first = captured(x)
    assert torch.equal(captured(x.requires_grad_()), first)
    assert torch.equal(copy.deepcopy(captured)(x), first)
