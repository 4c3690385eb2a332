"""Laws of schedules: monotone, inside their ends, and exact at the last one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.schedules import SHAPES, interpolate

ENDS = st.floats(0.001, 1)
SHARES = st.floats(0, 1)
POWERS = st.floats(0.1, 10)
RAMPS = sorted(set(SHAPES) - {"constant"})

# Every shape is a few float64 operations on values in [0, 1], each wrong by at most one unit in
# the last place; exp and log multiply that by |log 0.001| < 7.
ROUNDING = 16 * math.ulp(1.0)


@pytest.mark.parametrize("shape", list(SHAPES))
@given(ENDS, ENDS, POWERS, st.floats(1, 2))
def test_the_end_is_exact(shape: str, start: float, final: float, power: float, p: float) -> None:
    assert interpolate(shape, start, final, p, power) == final


@pytest.mark.parametrize("shape", RAMPS)
@given(ENDS, ENDS, POWERS)
def test_a_ramp_begins_at_its_start(shape: str, start: float, final: float, power: float) -> None:
    assert abs(interpolate(shape, start, final, 0.0, power) - start) <= ROUNDING
    assert interpolate(shape, start, final, -1.0, power) == interpolate(
        shape, start, final, 0.0, power
    )


@pytest.mark.parametrize("shape", list(SHAPES))
@given(ENDS, ENDS, POWERS, SHARES, SHARES)
def test_a_schedule_is_monotone(
    shape: str, start: float, final: float, power: float, one: float, other: float
) -> None:
    early, late = sorted((one, other))
    before, after = (interpolate(shape, start, final, p, power) for p in (early, late))
    if final >= start:
        assert before <= after + ROUNDING
    else:
        assert before >= after - ROUNDING


@pytest.mark.parametrize("shape", list(SHAPES))
@given(ENDS, ENDS, POWERS, SHARES)
def test_a_schedule_stays_between_its_ends(
    shape: str, start: float, final: float, power: float, p: float
) -> None:
    value = interpolate(shape, start, final, p, power)
    assert min(start, final) - ROUNDING <= value <= max(start, final) + ROUNDING


def test_halfway_points_are_those_of_the_papers() -> None:
    assert interpolate("constant", 0.2, 0.8, 0.5) == 0.8
    assert interpolate("linear", 0.0, 0.8, 0.5) == pytest.approx(0.4)
    assert interpolate("cubic", 0.0, 0.8, 0.5) == pytest.approx(0.8 * (1 - 0.5**3))
    assert interpolate("polynomial", 0.0, 0.8, 0.5, 2.0) == pytest.approx(0.8 * (1 - 0.5**2))
    assert interpolate("cosine", 0.0, 0.8, 0.25) == pytest.approx(0.8 * (1 - math.sqrt(0.5)) / 2)
    assert interpolate("exponential", 0.01, 1.0, 0.5) == pytest.approx(0.1)


def test_only_the_polynomial_heeds_the_power() -> None:
    heeds = {
        shape
        for shape in SHAPES
        if interpolate(shape, 0.1, 0.9, 0.4, 2.0) != interpolate(shape, 0.1, 0.9, 0.4, 5.0)
    }
    assert heeds == {"polynomial"}


def test_the_vocabulary_is_closed() -> None:
    assert set(SHAPES) == {"constant", "linear", "polynomial", "cubic", "cosine", "exponential"}
    with pytest.raises(KeyError, match="Did you mean 'cubic'"):
        interpolate("cubc", 0, 1, 0.5)
