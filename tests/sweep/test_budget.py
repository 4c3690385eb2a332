"""The search halves what is left, finds the sparsest network that keeps to it, and can stop."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import ConfigError
from pruneflow.sweep.budget import SPARSEST, Trial, bisected, perhaps_next
from pruneflow.training.budget import Budget


def searched(edge: float, budget: Budget) -> tuple[list[Trial], float | None]:
    """A search among networks that lose nothing up to a sparsity, and all beyond it."""
    trials: list[Trial] = []
    while True:
        asked, best = bisected(trials, budget)
        if asked is None:
            return trials, best
        assert asked not in {trial.asked for trial in trials}
        near = perhaps_next(trials, budget, 1)
        trials.append(Trial(asked, 0.0 if asked <= edge else 50.0))
        following, _ = bisected(trials, budget)
        assert following is None or following in near


@given(st.floats(0, 1), st.integers(1, 9))
def test_the_answer_is_the_sparsest_that_was_tried_within(edge: float, runs: int) -> None:
    trials, best = searched(edge, Budget(0.5, runs))
    assert len(trials) == runs
    assert best == max((t.asked for t in trials if t.asked <= edge), default=None)
    left = (1 - SPARSEST) ** (1 / 2**runs)  # in the logarithm of the density
    if best is not None and best < edge < SPARSEST:
        assert (1 - edge) / (1 - best) > left * (1 - 2e-2)


def test_a_network_that_cannot_be_is_too_sparse() -> None:
    budget = Budget(0.5, 3)
    trials = [Trial(0.9, None)]
    assert bisected(trials, budget) == (0.6838, None)
    assert bisected([*trials, Trial(0.6838, 0.5)], budget) == (0.8222, 0.6838)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_drop": -1}, "max_drop=-1: needs points"),
        ({"max_drop": 100}, "max_drop=100: needs points"),
        ({"max_drop": True}, "max_drop=True: needs points"),
        ({"max_drop": "0.5%"}, "max_drop=0.5%: needs points"),
        ({"max_drop": float("nan")}, "max_drop=nan: needs points"),
        ({"runs": 0}, "runs=0: needs a whole number from 1 to 30"),
        ({"runs": 2.5}, "runs=2.5: needs a whole number"),
        ({"max_drp": 1}, "budget.max_drp: is unknown. Did you mean 'max_drop'?"),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        Budget.of(settings)
    assert told in str(error.value)


def test_nothing_is_searched_without_a_budget() -> None:
    assert Budget.of(None) is None
    assert Budget.of({"max_drop": None, "runs": 6}) is None
    assert Budget.of({"max_drop": 1, "runs": 2}) == Budget(1.0, 2)
