"""One engine, called by several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from pruneflow.deploy.backends.base import Run


def wrong_side_by_side(run: Run, inputs: Sequence[torch.Tensor], calls: int) -> list[int]:
    """Which calls gave something else than a call alone does; each input has its own thread.

    The call alone is in a thread too: torch may split sums there unlike in the main one.
    """
    wrong: list[int] = []
    with ThreadPoolExecutor(1) as alone:
        expected = list(alone.map(run, inputs))

    def work(x: torch.Tensor, right: torch.Tensor) -> None:
        wrong.extend(i for i in range(calls) if not torch.equal(run(x), right))

    workers = [
        threading.Thread(target=work, args=pair) for pair in zip(inputs, expected, strict=True)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong
