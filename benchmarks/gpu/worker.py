"""The process that measures: it may crash or hang, and whoever attends to it loses nothing."""

from __future__ import annotations

import re
import time
import warnings
from hashlib import sha256
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from benchmarks.gpu import cases
from benchmarks.gpu.cuda import Gpu
from benchmarks.gpu.engine import reason
from benchmarks.gpu.machine import Machine, Rehearsal
from benchmarks.gpu.measure import measure

TUNING, TUNING_WITHOUT_GOAL = 20.0, 6.0
"""Seconds for the configurations of one engine."""

SOURCES = Path(__file__).parents[2] / "pruneflow" / "deploy" / "kernels"


def work(pipe: Connection, is_rehearsal: bool, only: str) -> None:
    """Measure what is not finished yet, cell by cell.

    It sends ``("machine", facts)`` and receives the titles of finished cells, engines that broke
    by title and name, and how many seconds there are. Then it sends ``("runs", title, engine)``
    before anything that may not return, ``("cell", title, cell)`` after each cell,
    ``("broke", reason)`` if the device failed, and ``("end", how many cells are left)``.
    """
    warnings.simplefilter("ignore", UserWarning)  # beta layouts, tiles that nobody tuned
    torch.set_grad_enabled(False)
    torch._dynamo.config.recompile_limit = 256  # one function for all shapes
    machine: Machine = Rehearsal() if is_rehearsal else Gpu()
    facts = machine.describe() | {"copied_bytes_per_second": round(machine.copied())}
    pipe.send(("machine", facts))
    finished, broken, seconds = pipe.recv()
    end = time.monotonic() + seconds
    goals = set(cases.with_goals())
    wanted = cases.rehearsal() if is_rehearsal else cases.every()
    left = [c for c in wanted if c.title not in finished and re.search(only, c.title)]
    digest = sources()
    last = 0.0
    while left and time.monotonic() + last < end:
        case, begun = left.pop(0), time.monotonic()

        def tell(engine: str, title: str = case.title) -> None:
            pipe.send(("runs", title, engine))

        tuning = TUNING if case in goals else TUNING_WITHOUT_GOAL
        try:
            cell = measure(case, machine, facts, tuning, broken.get(case.title, {}), tell)
        except Exception as error:
            try:
                machine.synchronize()
            except Exception:
                pipe.send(("broke", reason(error)))
                return
            cell = {**vars(case), "failed": reason(error)}
        last = time.monotonic() - begun
        cell |= {"seconds": round(last, 1), "sources": digest}
        pipe.send(("cell", case.title, cell))
    pipe.send(("end", len(left)))


def sources() -> str:
    """A digest of the kernels' files: results of others may be out of date."""
    found = sha256()
    for path in sorted(SOURCES.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]
