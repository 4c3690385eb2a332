"""What jobs have in common is counted once, whatever their number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pruneflow.recipe.prefix import Deed
from pruneflow.sweep.sharing import Sharing, Stretch, _stretches

LAST = 7
PLANS = st.lists(st.tuples(st.integers(1, LAST - 1), st.sampled_from("ab")), max_size=4).map(
    lambda found: [*sorted(found), (LAST, "end")]
)


def past(plan: list[Deed], step: int) -> tuple[Deed, ...]:
    return tuple(deed for deed in plan if deed[0] < step)


@given(st.lists(PLANS, min_size=1, max_size=6, unique_by=tuple))
def test_steps_saved_are_those_that_are_the_same(plans: list[list[Deed]]) -> None:
    """Step ``s`` is the same for two jobs if they agree up to there, and do at ``s``, too."""
    steps = [(step, past(plan, step + 1)) for plan in plans for step in range(1, LAST)]
    saved = sum(stretch.saved for stretch in _stretches(plans))
    assert saved == len(steps) - len(set(steps))


def test_it_is_told_in_a_sentence() -> None:
    stretches = [Stretch(1, 1199, 5), Stretch(1200, 1259, 4)]
    told = str(Sharing({}, tuple(stretches), 6600))
    assert told == (
        "Shared work: steps 1 to 1,199 once for 5 jobs, 1,200 to 1,259 once for 4 jobs: "
        "1,624 steps instead of 6,600 (share=false: each job by itself)"
    )
    assert "(2 times), 2 to 2 once" in str(
        Sharing({}, (Stretch(1, 1, 2),) * 2 + (Stretch(2, 2, 2),), 9)
    )
    assert str(Sharing({}, (), 60)) == ""
    many = tuple(Stretch(n, n, 2) for n in range(1, 9))
    assert str(Sharing({}, many, 99)).count("once") == 4
