"""Laws of apportionment: exact in total, in proportion, and a larger whole takes nothing back."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.apportionment import Claim, apportion, spread

SHARES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1)


@given(SHARES, st.data())
def test_spread_is_exact_and_within_one_of_the_proportion(
    shares: dict[str, int], data: st.DataObject
) -> None:
    whole = sum(shares.values())
    total = data.draw(st.integers(0, whole))
    parts = spread(total, shares)
    assert sum(parts.values()) == total
    for name, share in shares.items():
        assert parts[name] <= share
        if whole:
            assert abs(parts[name] - Fraction(total * share, whole)) < 1


def test_spread_gives_the_rest_to_the_largest_remainder_then_to_the_first() -> None:
    assert spread(4, {"a": 10, "b": 25, "c": 15}) == {"a": 1, "b": 2, "c": 1}
    assert spread(1, {"a": 5, "b": 5}) == {"a": 1, "b": 0}


@st.composite
def claims(draw: st.DrawFn, units: st.SearchStrategy[int]) -> tuple[int, list[Claim]]:
    """Claims, and a whole that they can have."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        bounds = sorted(draw(st.tuples(st.integers(0, 40), st.integers(0, 40))))
        found.append(Claim(draw(st.integers(1, 30)), *bounds, draw(units)))
    floor = sum(claim.least * claim.unit for claim in found)
    roof = sum(claim.most * claim.unit for claim in found)
    return draw(st.integers(floor, roof)), found


def one_by_one(total: int, some: list[Claim]) -> list[int]:
    """The reference: each unit goes to whoever is the furthest from one half more."""
    units = [claim.least for claim in some]
    while waiting := [at for at, claim in enumerate(some) if units[at] < claim.most]:
        next_one = min(
            waiting, key=lambda at: Fraction((2 * units[at] + 1) * some[at].unit, some[at].share)
        )
        left = total - sum(claim.unit * have for claim, have in zip(some, units, strict=True))
        if 2 * left <= some[next_one].unit:
            break
        units[next_one] += 1
    return units


@given(claims(st.just(1)))
def test_it_is_exact_and_each_unit_goes_where_it_is_due(case: tuple[int, list[Claim]]) -> None:
    assert apportion(*case) == one_by_one(*case)
    assert sum(apportion(*case)) == case[0]


@given(claims(st.integers(1, 9)))
def test_units_that_count_more_come_as_near_as_they_can(case: tuple[int, list[Claim]]) -> None:
    total, some = case
    units = apportion(total, some)
    assert units == one_by_one(total, some)
    reached = sum(claim.unit * have for claim, have in zip(some, units, strict=True))
    assert abs(total - reached) <= max(claim.unit for claim in some) / 2


@given(claims(st.integers(1, 3)), st.integers(0, 10))
def test_a_larger_whole_takes_nothing_back(case: tuple[int, list[Claim]], more: int) -> None:
    total, some = case
    roof = sum(claim.most * claim.unit for claim in some)
    larger = apportion(min(total + more, roof), some)
    assert all(a <= b for a, b in zip(apportion(total, some), larger, strict=True))


def test_no_paradox_of_alabama() -> None:
    # By the largest remainder 10 are 4, 4 and 2, but 11 are 5, 5 and 1.
    assert spread(10, {"a": 6, "b": 6, "c": 2}) == {"a": 4, "b": 4, "c": 2}
    assert spread(11, {"a": 6, "b": 6, "c": 2}) == {"a": 5, "b": 5, "c": 1}
    some = [Claim(share, 0, 100) for share in (6, 6, 2)]
    parts = [apportion(total, some) for total in (9, 10, 11, 12)]
    assert parts == [[4, 4, 1], [5, 4, 1], [5, 5, 1], [5, 5, 2]]


def test_numbers_of_a_large_network() -> None:
    some = [Claim(8192 + 28_672, 0, 8192 * 28_672), Claim(50_257 + 768, 1, 50_257 * 768)]
    kept = apportion(13_674_157, some)
    assert sum(kept) == 13_674_157
    assert abs(kept[0] - Fraction(13_674_157 * 36_864, 36_864 + 51_025)) < 1


def test_of_equal_claims_the_first_has_the_unit_that_is_left() -> None:
    assert apportion(2, [Claim(1, 0, 9), Claim(3, 0, 9)]) == [1, 1]  # both are due at a rate of 1/2
    assert apportion(2, [Claim(3, 0, 9), Claim(1, 0, 9)]) == [2, 0]


def test_a_unit_of_which_less_than_half_is_left_goes_to_nobody() -> None:
    assert [apportion(total, [Claim(1, 0, 3, 5)]) for total in (2, 3, 7, 8)] == [[0], [1], [1], [2]]


@given(st.integers(0, 10**6))
def test_several_units_that_are_due_almost_at_once_are_all_handed_out(total: int) -> None:
    some = [Claim(1 << 23, 0, 10**6), Claim(1, 0, 5)]
    assert sum(apportion(total, some)) == total
