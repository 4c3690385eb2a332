"""One engine, called by several threads at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

from pruneflow.deploy.backends.base import Run


def side_by_side(run: Run, inputs: Sequence[torch.Tensor], calls: int) -> list[list[torch.Tensor]]:
    """What every call gave; each input has a thread of its own, and all begin together."""
    begin = Barrier(len(inputs))

    def work(x: torch.Tensor) -> list[torch.Tensor]:
        begin.wait()
        return [run(x) for _ in range(calls)]

    with ThreadPoolExecutor(len(inputs)) as threads:
        return list(threads.map(work, inputs))


def assert_as_alone(run: Run, inputs: Sequence[torch.Tensor], calls: int) -> None:
    """Side by side, calls give bit by bit what they give alone."""
    alone = [run(x) for x in inputs]
    for right, results in zip(alone, side_by_side(run, inputs, calls), strict=True):
        assert all(torch.equal(result, right) for result in results)
