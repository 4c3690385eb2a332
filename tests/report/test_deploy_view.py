"""The laws behind the page: where the winner changes, how numbers and axes are written."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.report import units
from pruneflow.report.deploy_view import crossover, opened
from pruneflow.report.record import Record
from pruneflow.report.scales import steps
from tests.report import samples

positive = st.floats(1e-3, 1e12)


def cells_of(sparse: float, dense: float, rise: float, fall: float) -> list[Record]:
    """Latencies that are straight lines of the logarithms."""
    return [
        Record({"batch": batch, "engines": {
            "torch": {"kind": "dense", "median": dense * batch**fall},
            "c": {"kind": "sparse", "median": sparse * batch**rise}}}, "report.json")
        for batch in (1, 4, 16, 64)
    ]  # fmt: skip


@given(st.floats(0.1, 0.9), st.floats(1.001, 63.9) | st.sampled_from([4.0, 16.0]))
def test_straight_lines_cross_where_they_cross(rise: float, where: float) -> None:
    change = crossover(cells_of(10.0, 10.0 * where**rise, 2 * rise, rise))
    assert change is not None
    assert change.winner == "dense"
    assert math.isclose(change.batch, where, rel_tol=1e-6)


@given(st.floats(1.5, 50), st.floats(0.1, 1))
def test_lines_that_do_not_cross_have_no_crossover(ahead: float, rise: float) -> None:
    assert crossover(cells_of(10.0, 10.0 * ahead, rise, rise)) is None
    assert crossover(cells_of(10.0 * ahead, 10.0, rise, rise)) is None


def test_sparse_may_be_what_wins_above() -> None:
    change = crossover(cells_of(40.0, 10.0, 0.2, 0.9))
    assert change is not None
    assert change.winner == "sparse"


@given(positive, st.floats(1, 1e9))
def test_ticks_enclose_the_values_and_are_few(low: float, span: float) -> None:
    found = steps(low, low * span)
    assert found == sorted(set(found))
    assert found[0] <= low * (1 + 1e-6)
    assert 2 <= len(found) <= 12
    assert found[-1] >= low * span * (1 - 1e-6) or len(found) > 4


@given(st.floats(0, 1e14))
def test_a_size_can_be_read_back(value: float) -> None:
    number, unit = units.size(value).replace(",", "").split()
    scale = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert math.isclose(float(number) * scale, value, rel_tol=0.006, abs_tol=0.5)
    assert len(number.replace(".", "")) <= 4


@given(st.floats(0.01, 1e9))
def test_a_duration_can_be_read_back(value: float) -> None:
    number, unit = units.duration(value).replace(",", "").split()
    scale = {"µs": 1, "ms": 1e3, "s": 1e6}[unit]
    assert math.isclose(float(number) * scale, value, rel_tol=0.006, abs_tol=0.005)


@pytest.mark.parametrize(
    ("value", "text"), [(999.4, "999 µs"), (999.6, "1.00 ms"), (9.996, "10.0 µs"), (5, "5.00 µs")]
)
def test_durations_have_three_digits(value: float, text: str) -> None:
    assert units.duration(value) == text


def test_a_report_is_not_changed_by_being_read() -> None:
    report = samples.good()
    assert opened(report).values == samples.good()
