"""Laws of planning: what fits is exact before training, what does not is refused with a place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pruneflow.errors import PlanError, RecipeError, ResumeError
from pruneflow.pruning.allocation import ALLOCATIONS
from pruneflow.recipe import schema
from tests.loop import EPOCH, Loop, plan_of

PRUNE = {"type": "prune", "sparsity": 0.5, "start": "1ep", "end": "3ep", "every": "1ep"}
ONCE = {"type": "prune", "sparsity": 0.5, "start": "1ep"}
TICKETS = {"type": "iterative_prune", "rounds": 2, "every": "1ep"}
TABLE = {"type": "prune", "schedule": "multistep"}
FREEZE = {"type": "freeze_mask"}
RATE = {"type": "lr", "init": 0.1}


def refusal(modifiers: dict[str, Any], total: int | None = 30, **top: Any) -> str:
    with pytest.raises(PlanError) as error:
        plan_of(modifiers, total=total, **top)
    return str(error.value)


def test_totals_are_exact_at_every_event() -> None:
    plan = plan_of({"p": {**PRUNE, "schedule": "linear"}}, total=30)
    assert [(row.event.step, row.zeros) for row in plan.rows] == [
        (3, 0),
        (6, round(0.25 * 103)),
        (9, round(0.5 * 103)),
    ]
    assert plan.size == 6 * 8 + 8 * 5 + 5 * 3


@pytest.mark.parametrize("schedule", ["constant", "linear", "cubic", "cosine", "exponential"])
def test_sparsity_rises_to_exactly_its_end(schedule: str) -> None:
    plan = plan_of({"p": {**PRUNE, "schedule": schedule, "every": "1st"}}, total=30)
    zeros = [row.zeros for row in plan.rows]
    assert zeros == sorted(zeros)
    assert zeros[-1] == round(0.5 * 103)
    assert [row.event.step for row in plan.rows] == list(range(3, 10))


@pytest.mark.parametrize("allocation", list(ALLOCATIONS))
@pytest.mark.parametrize("seed", range(3))
def test_bounds_contain_what_a_run_makes(allocation: str, seed: int) -> None:
    modifiers = {
        "wide": {**PRUNE, "allocation": allocation, "end": "2ep"},
        "narrow": {**ONCE, "start": "3ep", "targets": ["fc1"], "sparsity": 0.9},
    }
    loop = Loop(modifiers, total=12, seed=seed)
    rows = {row.event.step: row for row in loop.plan.rows}
    while loop.clock < 12:
        loop.step()
        if (row := rows.get(loop.clock)) is not None:
            for name, (fewest, most) in row.layers.items():
                assert fewest <= loop.engine.network.zeros.get(name, 0) <= most
            assert row.zeros in (None, 103 - loop.engine.nonzeros)


def test_a_narrower_target_after_a_global_one_leaves_the_total_open() -> None:
    narrow = {**ONCE, "start": "3ep", "targets": ["fc1"], "sparsity": 0.9}
    plan = plan_of({"wide": ONCE, "narrow": narrow}, total=30)
    assert [row.zeros for row in plan.rows] == [52, None]
    assert plan.rows[1].layers["fc1.weight"] == (43, 43)
    event = plan.to_dict()["events"][1]
    assert event["sparsity"] is None
    assert event["layers"]["fc1.weight"] == [5, 5]


def test_growth_is_refused() -> None:
    text = refusal({"a": ONCE, "b": {**ONCE, "start": "2ep", "sparsity": 0.4}})
    assert "modifiers.b" in text
    assert "do not grow back" in text


@pytest.mark.parametrize(
    "other",
    [
        {**PRUNE, "start": "2ep", "end": "4ep"},
        {**PRUNE, "start": "0ep", "end": "2ep"},
        {**PRUNE, "sparsity": 0.6},
        {**ONCE, "start": "1ep"},
        {**ONCE, "start": "2ep", "sparsity": 0.5},
        {**TICKETS, "targets": ["output"]},
    ],
    ids=str,
)
def test_two_owners_of_a_mask_at_a_time_are_refused(other: dict[str, Any]) -> None:
    text = refusal({"a": PRUNE, "b": other})
    assert "two owners of its mask: 'a' (steps 3 to 9) and 'b'" in text


def test_owners_may_share_the_work_by_layer_and_by_time() -> None:
    plan_of({"a": {**PRUNE, "targets": ["fc1"]}, "b": {**PRUNE, "targets": ["fc2"]}}, total=30)
    plan_of({"a": PRUNE, "b": {**ONCE, "start": "a.end", "sparsity": 0.6}}, total=30)
    later = {**PRUNE, "start": "4st", "initial_sparsity": 0.2}
    plan_of({"a": {**ONCE, "sparsity": 0.1}, "b": later}, total=30)


def test_pruning_what_is_frozen_is_refused() -> None:
    text = refusal({"f": {**FREEZE, "start": "2ep"}, "p": PRUNE})
    assert "modifiers.p: changes the mask of 'fc1.weight' at step 9" in text
    assert "'f' froze it at step 6" in text


def test_freezing_another_layer_or_after_the_end_is_fine() -> None:
    plan_of({"f": {**FREEZE, "targets": ["fc1"]}, "p": {**PRUNE, "ignore": ["fc1"]}}, total=30)
    plan = plan_of({"f": {**FREEZE, "start": "p.end"}, "p": PRUNE}, total=30)
    assert [(e.step, e.action) for e in plan.events][-2:] == [(9, "prune"), (9, "freeze")]


def test_adopted_masks_leave_the_total_open() -> None:
    plan = plan_of({"f": {**FREEZE, "targets": ["fc1"]}}, total=30)
    assert [(row.zeros, row.layers) for row in plan.rows] == [(None, {"fc1.weight": (0, 48)})]


@pytest.mark.parametrize("by_recipe", [True, False])
def test_events_past_the_end_name_the_length_needed(by_recipe: bool) -> None:
    late = {**PRUNE, "end": "7st"}
    length = {"length": "2ep"} if by_recipe else {}
    text = refusal({"p": late}, total=None if by_recipe else 6, **length)
    assert "modifiers.p: works until step 7, but the run ends at step 6" in text
    assert "needs a length of 3ep (7 steps)" in text


@pytest.mark.parametrize(
    ("modifiers", "total"),
    [
        ({"p": PRUNE}, 9),
        ({"p": ONCE}, 3),
        ({"t": TICKETS}, 9),
        ({"t": {**TICKETS, "rewind_to": "1ep"}}, 12),
        ({"p": ONCE, "lr": {**RATE, "end": "4ep"}}, 12),
        ({"p": PRUNE, "f": {**FREEZE, "start": "11st"}}, 11),
    ],
    ids=str,
)
def test_without_a_length_the_run_is_the_shortest_that_does_it(
    modifiers: dict[str, Any], total: int
) -> None:
    assert plan_of(modifiers).total == total


def test_the_trainers_length_wins_over_the_recipes_and_the_recipes_over_the_shortest() -> None:
    assert plan_of({"p": PRUNE}, total=20, length="9ep").total == 20
    assert plan_of({"p": PRUNE}, length="9ep").total == 27


@pytest.mark.parametrize(
    ("modifiers", "place"),
    [
        ({"p": {**PRUNE, "end": "50%"}}, "modifiers.p.end"),
        ({"p": {**TABLE, "milestones": {"50%": 0.5}}}, "modifiers.p.milestones"),
        ({"t": {**TICKETS, "every": "5%"}}, "modifiers.t.every"),
        ({"p": ONCE, "lr": {**RATE, "end": "50%"}}, "modifiers.lr.end"),
    ],
)
def test_a_share_of_a_run_without_length_is_refused_at_its_field(
    modifiers: dict[str, Any], place: str
) -> None:
    text = refusal(modifiers, total=None)
    assert place in text
    assert "add 'length: 20ep'" in text


def test_nothing_that_takes_time_and_no_length_is_refused() -> None:
    assert "add 'length: 20ep'" in refusal({"f": FREEZE}, total=None)
    assert "share of itself" in refusal({"p": PRUNE}, total=None, length="50%")


def test_anchors_follow_what_they_are_tied_to() -> None:
    modifiers = {
        "f": {**FREEZE, "start": "c.end"},
        "a": PRUNE,
        "b": {**PRUNE, "start": "a.end", "end": "12st", "initial_sparsity": 0.5, "sparsity": 0.6},
        "c": {**ONCE, "start": "b.end", "sparsity": 0.7},
    }
    plan = plan_of(modifiers, total=30)
    fired = [f"{event.step} {event.modifier}" for event in plan.events]
    assert fired == ["3 a", "6 a", "9 a", "9 b", "12 b", "12 c", "12 f"]
    assert plan.rows[-1].zeros == round(0.7 * 103)


def test_a_ramp_by_table_takes_each_sparsity_at_its_time() -> None:
    plan = plan_of({"p": {**TABLE, "milestones": {"4ep": 0.8, "2ep": 0.5}}}, total=30)
    assert [(row.event.step, row.zeros) for row in plan.rows] == [(6, 52), (12, 82)]


@pytest.mark.parametrize(
    "modifiers",
    [
        {"a": {**FREEZE, "start": "a.end"}},
        {"a": {**FREEZE, "start": "b.end"}, "b": {**ONCE, "start": "a.start"}},
        {
            "a": {**RATE, "end": "b.end"},
            "b": {**PRUNE, "end": "c.start"},
            "c": {**FREEZE, "start": "a.end"},
        },
    ],
)
def test_circular_anchors_are_refused(modifiers: dict[str, Any]) -> None:
    assert "depends on itself" in refusal(modifiers)


def test_an_anchor_to_nobody_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"'prun\.end' refers to no modifier.*'prune'"):
        plan_of({"prune": PRUNE, "f": {**FREEZE, "start": "prun.end"}})


@pytest.mark.parametrize("first", ["lr", "f", "t"])
def test_a_mistake_is_placed_at_the_modifier_that_holds_it(first: str) -> None:
    modifiers: dict[str, Any] = {
        "lr": {**RATE, "end": "2st"},
        "f": {**FREEZE, "start": "t.end"},
        "t": {**TICKETS, "targets": ["nobody"]},
    }
    modifiers = {first: modifiers[first], **modifiers}
    text = refusal(modifiers)
    assert "modifiers.t.targets: 'nobody' matches no layer" in text


@pytest.mark.parametrize("start", ["0st", "2ep", "5st"])
def test_two_owners_of_the_rate_at_a_time_are_refused(start: str) -> None:
    text = refusal({"one": {**RATE, "end": "3ep"}, "two": {**RATE, "start": start, "end": "6ep"}})
    assert "the learning rate has two owners: 'one' (steps 0 to 9) and 'two'" in text


@pytest.mark.parametrize("edge", ["start", "end"])
def test_a_rate_on_the_rounds_clock_knows_no_moment_of_the_run(edge: str) -> None:
    rate = {**RATE, "start": "0st", "end": "2st", edge: f"t.{edge}"}
    assert f"modifiers.lr.{edge}" in refusal({"lr": rate, "t": TICKETS})


def test_ends_before_starts_are_refused() -> None:
    assert "modifiers.p.end" in refusal({"p": {**PRUNE, "end": "2st"}})
    assert "modifiers.lr.end" in refusal({"lr": {**RATE, "start": "3st", "end": "3st"}})
    assert "modifiers.t.start" in refusal({"t": {**TICKETS, "start": "1ep", "rewind_to": "1ep"}})
    assert "rounds to no step at all" in refusal({"p": {**PRUNE, "every": "0.1ep"}})


def test_all_mistakes_are_told_at_once() -> None:
    text = refusal({"a": {**ONCE, "targets": ["x"]}, "b": {**ONCE, "targets": ["y"]}})
    assert "modifiers.a.targets" in text
    assert "modifiers.b.targets" in text


def test_a_plan_is_plain_data_and_compiling_is_deterministic() -> None:
    modifiers = {"t": TICKETS, "lr": {**RATE, "end": "2st"}, "f": {**FREEZE, "start": "t.end"}}
    one, other = plan_of(modifiers), plan_of(modifiers)
    assert one.rows == other.rows
    assert json.loads(json.dumps(one.to_dict())) == other.to_dict()
    assert one.to_dict()["steps"] == 3 * EPOCH


@pytest.mark.parametrize("change", [{"step": 8}, {"modifier": "q"}, {"event": "freeze"}])
def test_only_the_journal_of_the_same_events_is_this_plans_past(change: dict[str, Any]) -> None:
    loop = Loop({"p": {"type": "prune", "sparsity": 0.5, "start": "2ep"}}, total=12).run()
    journal = [{**entry, **change} for entry in loop.engine.state.journal]
    words = {"step": 6, "modifier": "p", "event": "prune", **change}
    says = f"'{words['modifier']}' {words['event']} at step {words['step']}"
    with pytest.raises(ResumeError, match=f"has 'p' prune at step 6, .* journal {says}"):
        loop.plan.require_past(journal, 12)


def test_only_the_journal_of_the_same_counts_is_this_plans_past() -> None:
    plan = plan_of({"p": PRUNE}, total=30)
    journal = [
        {"step": row.event.step, "modifier": "p", "event": row.event.action,
         "nonzeros": plan.size - row.zeros}
        for row in plan.rows if row.zeros is not None
    ]  # fmt: skip
    plan.require_past(journal, 30)
    journal[-1]["nonzeros"] += 1
    with pytest.raises(ResumeError, match=r"as event 3 this one has 51 weights left, .* 52"):
        plan.require_past(journal, 30)


def test_a_run_may_have_no_step() -> None:
    plan = plan_of({"p": {"type": "prune", "sparsity": 0.5, "start": "0st"}}, total=0)
    assert [row.event.step for row in plan.rows] == [0]


def test_a_recipe_is_what_it_says_wherever_that_is_written() -> None:
    trees = [{"modifiers": {"p": PRUNE}}] * 2
    one, other = (schema.build(tree, locate=lambda path, n=n: f"{n}.yaml:1")
                  for n, tree in enumerate(trees))  # fmt: skip
    assert one == other
