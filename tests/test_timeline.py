"""Laws of time: it is written with a unit, reads back as itself, and is rounded once."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pruneflow.timeline import Anchor, Horizon, Time, exact, nearest, parse_moment, parse_time
from tests.strategies import horizons, times


@given(times())
def test_a_time_written_out_reads_back_as_itself(text: str) -> None:
    time = parse_time(text)
    assert parse_time(str(time)) == time


@given(times())
def test_a_time_is_exactly_the_decimal_that_was_written(text: str) -> None:
    time = parse_time(text)
    assert time.value == Fraction(text.removesuffix(time.unit).strip())


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True), st.sampled_from("se"))
def test_an_anchor_written_out_reads_back_as_itself(name: str, edge: str) -> None:
    anchor = Anchor(name, "start" if edge == "s" else "end")
    assert parse_moment(str(anchor)) == anchor


@given(times())
def test_a_moment_that_is_no_anchor_is_a_time(text: str) -> None:
    assert parse_moment(text) == parse_time(text)


@pytest.mark.parametrize("number", [3, 2.5, 0])
def test_a_bare_number_is_refused_with_all_three_units_spelled_out(number: float) -> None:
    with pytest.raises(ValueError, match="has no unit") as error:
        parse_time(number)
    for unit in ("ep", "st", "%"):
        assert f"{number:g}{unit}" in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "ep", "3", "3 epochs", "-1ep", "1e3st", "3eps", "ep3", ".5ep", "3,5ep", "nanep"]
)
def test_what_is_no_time_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write 3ep"):
        parse_time(text)


@pytest.mark.parametrize("value", [None, True, [], {}, ["3ep"]])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="needs a time"):
        parse_time(value)


def test_a_step_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="cannot be divided"):
        parse_time("1.5st")
    assert parse_time("2.0st") == Time(Fraction(2), "st")


@pytest.mark.parametrize("text", ["prune.middle", "prune.", ".end", "prune.end.end", "a b.end"])
def test_an_anchor_has_one_name_and_one_of_two_edges(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        parse_moment(text)


@given(times(), horizons())
@example("0.75ep", Horizon(1, 1))
@example("1.5ep", Horizon(1, 1))
@example("75%", Horizon(1, 1))
@example("50%", Horizon(1, 3))
def test_rounding_is_pythons_round_of_the_exact_product(text: str, horizon: Horizon) -> None:
    time = parse_time(text)
    total = horizon.total
    assert total is not None
    product = {
        "st": time.value,
        "ep": time.value * horizon.steps_per_epoch,
        "%": time.value * total / 100,
    }[time.unit]
    steps = horizon.steps(time)
    assert steps == round(product)
    assert abs(steps - product) <= Fraction(1, 2)


@given(st.integers(0, 10**6))
def test_halves_go_to_the_even_number(n: int) -> None:
    assert nearest(Fraction(2 * n + 1, 2)) == (n if n % 2 == 0 else n + 1)


@given(horizons())
def test_a_hundred_percent_is_the_whole_run(horizon: Horizon) -> None:
    assert horizon.steps(parse_time("100%")) == horizon.total
    assert horizon.steps(parse_time("0%")) == 0


@given(times(), times(), horizons())
def test_a_later_time_never_comes_earlier(one: str, other: str, horizon: Horizon) -> None:
    early, late = sorted((parse_time(one), parse_time(other)), key=lambda t: t.value)
    if early.unit == late.unit:
        assert horizon.steps(early) <= horizon.steps(late)


def test_a_share_of_a_run_of_unknown_length_is_refused() -> None:
    with pytest.raises(ValueError, match="add 'length: 20ep'"):
        Horizon(10).steps(parse_time("30%"))
    assert Horizon(10).steps(parse_time("3ep")) == 30
    assert Horizon(10).steps(parse_time("3st")) == 3


def test_an_epoch_is_a_decimal_number() -> None:
    assert Horizon(4).epoch(6) == 1.5


@given(st.integers(0, 10**4))
def test_exact_is_the_decimal_a_person_wrote(n: int) -> None:
    assert exact(n / 10**4) == Fraction(n, 10**4)
