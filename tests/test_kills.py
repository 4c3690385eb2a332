"""The campaign of kills, in small: whatever is killed, what it leaves in the end is the same."""

from __future__ import annotations

import random

import pytest

from benchmarks import kills


@pytest.mark.slow
@pytest.mark.parametrize("name", ["single run", "sweep that shares"])
def test_killed_twice_it_ends_as_if_nothing_had_been(name: str) -> None:
    victim = kills.VICTIMS[name]
    reference, seconds = kills.whole(victim)
    _, same = kills.hunted(victim, reference, seconds, random.Random(0), most=2)
    assert same
