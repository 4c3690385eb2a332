"""The campaign of faults that strike a run at work, in small: none loses anything."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.faults import struck
from benchmarks.faults.nursery import Fault, Nursery

STRIKES = {
    "disk full as a checkpoint is written": Fault("operation", 76, "ENOSPC"),
    "NaN after the last pruning": Fault("nan", 26),
}
SLOW = {
    "killed as the result is written": Fault("operation", 166, "SIGKILL"),
    "read-only before the first checkpoint": Fault("operation", 47, "EROFS"),
    "a disk that fails": Fault("operation", 80, "EIO"),
    "a folder that vanishes at once": Fault("vanish", 1, "out"),
    "a folder that vanishes": Fault("vanish", 12, "out"),
    "a hook that raises": Fault("raise", 14, "training_step"),
    "a clock that is set back thirty years": Fault("clock", 12, "-1000000000"),
    "Ctrl-C twice": Fault("signal", 13, "SIGINT", 1),
}


@pytest.mark.parametrize("name", STRIKES)
def test_a_struck_run_goes_on_exactly_or_refuses(
    name: str, nursery: Nursery, reference: dict[str, Any]
) -> None:
    outcome = struck.struck(nursery, STRIKES[name], reference)
    assert outcome.how != struck.LOST, outcome.why


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_so_does_one_that_is_struck_in_another_way(
    name: str, nursery: Nursery, reference: dict[str, Any]
) -> None:
    outcome = struck.struck(nursery, SLOW[name], reference)
    assert outcome.how != struck.LOST, outcome.why


@pytest.mark.slow
@pytest.mark.parametrize("kind", struck.KINDS)
def test_a_fault_drawn_at_random_loses_nothing(
    kind: str, nursery: Nursery, reference: dict[str, Any]
) -> None:
    fault = struck.drawn(kind, random.Random(7))
    outcome = struck.struck(nursery, fault, reference)
    assert outcome.how != struck.LOST, f"{fault}: {outcome.why}"
