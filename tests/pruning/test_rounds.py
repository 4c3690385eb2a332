"""Laws of rounds: each gives its share of what remains, and no layer more than it may."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.rounds import rounds

SIZES = st.lists(st.integers(1, 200), min_size=1, max_size=4)


@given(SIZES, st.data())
def test_every_round_takes_the_nearest_number_to_its_share_below_the_cap(
    sizes: list[int], data: st.DataObject
) -> None:
    named = {str(number): size for number, size in enumerate(sizes)}
    caps = {name: data.draw(st.integers(0, size)) for name, size in named.items()}
    shares = {name: data.draw(st.integers(1, 99)) / 100 for name in named}
    before = dict.fromkeys(named, 0)
    done = rounds(named, caps, shares, most=6)
    assert len(done) == 6
    for after in done:
        for name, size in named.items():
            wanted = round(Fraction(str(shares[name])) * (size - before[name]))
            assert after[name] == min(before[name] + wanted, caps[name])
        before = after


@given(SIZES, st.data())
def test_the_last_round_ends_at_the_goal(sizes: list[int], data: st.DataObject) -> None:
    named = {str(number): size for number, size in enumerate(sizes)}
    goal = data.draw(st.integers(1, sum(sizes)))
    done = rounds(named, named, dict.fromkeys(named, 0.6), most=1000, goal=goal)
    totals = [sum(zeros.values()) for zeros in done]
    assert totals[-1] == goal
    assert all(total < goal for total in totals[:-1])


def test_a_goal_that_no_round_comes_nearer_to_is_an_error() -> None:
    with pytest.raises(ValueError, match="is not reached after 1 rounds"):
        rounds({"a": 8}, {"a": 4}, {"a": 0.5}, most=5, goal=6)
