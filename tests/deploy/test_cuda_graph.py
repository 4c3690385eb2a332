"""Launches recorded once: what comes out is what would have come out, and belongs to the caller."""

from __future__ import annotations

import copy

import torch

from pruneflow.deploy.backends import cuda_graph
from pruneflow.deploy.backends.cuda_graph import Captured
from tests.deploy.gpu import needs_gpu
from tests.deploy.side_by_side import wrong_side_by_side


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
    assert wrong_side_by_side(captured, inputs, 50) == []
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
