"""The law of shared work: two runs are the same, to the bit, until their plans part."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pruneflow.errors import PlanError, RecipeError
from pruneflow.recipe.prefix import Deed, deeds, parting, partings, prefix_hash
from tests.loop import EPOCH, Loop, plan_of

STEP = f"{EPOCH}st"
RATES = [
    {"type": "lr", "start": "prune.start", "factor": 0.2},
    {"type": "lr", "start": "prune.start", "factor": 0.3},
    {"type": "lr", "schedule": "cosine", "factor": 0.1},
    {"type": "lr", "schedule": "step", "every": "2st", "gamma": 0.5, "end": "4ep"},
]
PRUNES = st.fixed_dictionaries(
    {
        "type": st.just("prune"),
        "sparsity": st.sampled_from([0.5, 0.9]),
        "start": st.sampled_from(["1ep", "2ep"]),
        "every": st.sampled_from(["1ep", "2st"]),
        "allocation": st.sampled_from(["global", "uniform"]),
        "criterion": st.sampled_from(["magnitude", "random", "movement"]),
    },
    optional={"end": st.sampled_from(["3ep", "4ep"]), "schedule": st.sampled_from(["linear"])},
).filter(lambda tree: "end" in tree or "schedule" not in tree)
ROUNDS = st.fixed_dictionaries(
    {
        "type": st.just("iterative_prune"),
        "rounds": st.integers(1, 3),
        "every": st.just("1ep"),
        "rewind": st.sampled_from(["none", "weights+lr"]),
    }
)
FURTHER = st.fixed_dictionaries(
    {},
    optional={
        "rate": st.sampled_from(RATES),
        "freeze": st.just({"type": "freeze_mask", "start": "prune.end"}),
        "decay": st.just({"type": "weight_decay", "value": 0.1, "start": "1ep"}),
        "penalty": st.just({"type": "regularize", "kind": "l1", "strength": 0.01}),
    },
)


@st.composite
def recipes(draw: st.DrawFn) -> tuple[dict[str, Any], int]:
    """A recipe, and how long it takes."""
    modifiers = {"prune": draw(PRUNES | ROUNDS), **draw(FURTHER)}
    return modifiers, EPOCH * draw(st.sampled_from([5, 6]))


def planned(modifiers: dict[str, Any], total: int) -> list[Deed]:
    return deeds(plan_of(modifiers, total=total))


@settings(max_examples=20)
@given(recipes(), recipes(), st.booleans())
def test_runs_are_the_same_until_their_plans_part(
    one: tuple[dict[str, Any], int], other: tuple[dict[str, Any], int], likened: bool
) -> None:
    if likened:  # else most of them part at once
        other = (one[0] | {"prune": one[0]["prune"] | {"type": one[0]["prune"]["type"]}}, other[1])
        key = "sparsity" if "sparsity" in other[0]["prune"] else "rounds"
        other[0]["prune"][key] = 0.7 if key == "sparsity" else 4
    try:
        plans = [planned(*one), planned(*other)]
    except (PlanError, RecipeError):
        assume(False)
    step = parting(*plans)
    if step is None:
        assert one[0]["prune"]["type"] == other[0]["prune"]["type"]
        return
    same = [prefix_hash(plans[0], at) == prefix_hash(plans[1], at) for at in range(step + 1)]
    assert same == [True] * step + [False]
    runs = [Loop(one[0], one[1]), Loop(other[0], other[1])]
    for _ in range(step - 1):
        for run in runs:
            run.step()
        assert runs[0].everything() == runs[1].everything()


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({"prune": {"sparsity": 0.8}}, 9),  # a ramp begins at 0
        ({"prune": {"start": "3ep"}}, 0),  # a penalty might depend on its end
        ({"prune": {"end": "4ep"}}, 9),
        ({"prune": {"criterion": "random"}}, 6),
        ({"prune": {"targets": ["fc1"]}}, 6),
        ({"rate": {"factor": 0.3}}, 6),
        ({"rate": {"schedule": "linear"}}, 6),
        ({"penalty": {"strength": 0.02}}, 0),
        ({}, None),
    ],
)
def test_where_they_part(change: dict[str, Any], step: int | None) -> None:
    recipe: dict[str, Any] = {
        "prune": {"type": "prune", "sparsity": 0.9, "start": "2ep", "end": "5ep"},
        "rate": {"type": "lr", "start": "prune.start", "factor": 0.2},
        "penalty": {"type": "regularize", "kind": "l1", "strength": 0.01, "end": "prune.start"},
    }
    other = {name: tree | change.get(name, {}) for name, tree in recipe.items()}
    assert parting(planned(recipe, 18), planned(other, 18)) == step


def test_rounds_pass_those_of_a_sparser_run() -> None:
    def rounds(sparsity: float) -> list[Deed]:
        prune = {"type": "iterative_prune", "sparsity": sparsity, "fraction": 0.3, "every": "1ep"}
        plan = plan_of({"prune": {**prune, "rewind": "none"}})
        return deeds(plan)

    assert parting(rounds(0.8), rounds(0.9)) == 5 * EPOCH  # 1 - 0.7 ** 4 < 0.8 < 1 - 0.7 ** 5


@given(st.lists(st.lists(st.tuples(st.integers(1, 6), st.sampled_from("ab")), max_size=4)))
def test_partings_are_those_of_every_pair(drawn: list[list[Deed]]) -> None:
    plans = [[*sorted(plan), (7, "end")] for plan in drawn]
    found = partings(plans)
    for plan, steps in zip(plans, found, strict=True):
        each = {parting(plan, other) for other in plans}
        assert steps == sorted(step for step in each if step is not None)


def test_a_long_run_is_compared_by_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    rate = {"type": "lr", "factor": 0.2, "start": "1ep"}
    short, long = plan_of({"rate": rate}, total=12), plan_of({"rate": rate}, total=15)
    assert parting(deeds(short), deeds(long)) == 12
    monkeypatch.setattr("pruneflow.recipe.prefix.MAX_RATES", 5)
    assert parting(deeds(short), deeds(long)) == 3, "it may part anywhere"
    assert json.dumps(deeds(short)) == json.dumps(deeds(plan_of({"rate": rate}, total=12)))
