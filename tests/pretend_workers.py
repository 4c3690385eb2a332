"""Processes that pretend to measure, and come to grief; they import next to nothing."""

from __future__ import annotations

import os
import time
from multiprocessing.connection import Connection

MACHINE = {"device": "made up", "torch": "2.11.0", "triton": "3.6.0"}
CELL = {"rows": {}, "kind": "layer"}


def unlucky(pipe: Connection, is_rehearsal: bool, only: str) -> None:
    """Dies in one engine, reports a failed device in the next, hangs in a third, then is done."""
    pipe.send(("machine", MACHINE))
    finished, broken, _ = pipe.recv()
    if "first" not in finished:
        pipe.send(("cell", "first", CELL))
    known = broken.get("second", {})
    if "dies" not in known:
        pipe.send(("runs", "second", "dies"))
        time.sleep(0.2)
        os._exit(7)
    if "fails" not in known:
        pipe.send(("runs", "second", "fails"))
        pipe.send(("broke", "CUDA error: an illegal memory access was encountered"))
        return
    if "hangs" not in known:
        pipe.send(("runs", "second", "hangs"))
        time.sleep(600)
    pipe.send(("cell", "second", CELL))
    pipe.send(("end", 0))


def slow(pipe: Connection, is_rehearsal: bool, only: str) -> None:
    """Would need longer than there is time."""
    pipe.send(("machine", MACHINE))
    pipe.recv()
    pipe.send(("cell", "first", CELL))
    for _ in range(600):
        pipe.send(("runs", "second", "engine"))
        time.sleep(1)
