"""Laws of errors: one tree, an exit code each, and a hand stretched out."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from pruneflow import errors
from pruneflow.errors import (
    ConfigError,
    FrozenMaskError,
    PlanError,
    Problem,
    PruneFlowError,
    RecipeError,
    TrainingError,
    UserError,
    did_you_mean,
)

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, PruneFlowError) and cls.__module__ == errors.__name__
]


def test_the_drawing_at_the_top_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─\s]*)(\w+Error)\b", line):
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            drawn[match[2]] = path[depth - 1] if depth else "Exception"
    assert drawn == {cls.__name__: cls.__bases__[0].__name__ for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES)
def test_a_person_can_mend_what_exits_with_2(cls: type[PruneFlowError]) -> None:
    assert cls.exit_code == (2 if issubclass(cls, UserError) else 1)
    assert not (issubclass(cls, UserError) and issubclass(cls, TrainingError))
    assert cls.__doc__


def test_a_problem_names_its_place_first() -> None:
    assert str(Problem("my.yaml:5", "no such field")) == "my.yaml:5: no such field"
    assert str(Problem("", "no such field")) == "no such field"


@pytest.mark.parametrize("cls", [RecipeError, PlanError])
def test_a_recipe_error_lists_every_problem_on_a_line(cls: type[RecipeError]) -> None:
    problems = [Problem("a.yaml:1", "one"), Problem("a.yaml:2", "two")]
    assert str(cls(problems)) == "a.yaml:1: one\na.yaml:2: two"
    assert cls(problems[0]).problems == problems[:1]


def test_of_very_many_problems_the_first_are_told() -> None:
    error = RecipeError([Problem(f"a.yaml:{n}", "no such field") for n in range(1, 5001)])
    told = str(error).splitlines()
    assert told[0] == "a.yaml:1: no such field"
    assert told[-1] == f"... and {5001 - len(told)} more"
    assert len(told) < 50
    assert len(error.problems) == 5000


def test_a_very_long_message_keeps_its_beginning_and_its_mend() -> None:
    told = str(Problem("a.yaml:1", f"got '{'x' * 100_000}'; write 0.9"))
    assert re.fullmatch(r"a\.yaml:1: got 'x+ \.\.\. x+'; write 0\.9", told)
    assert len(told) < 3000


@pytest.mark.parametrize("cls", [RecipeError, PlanError])
def test_a_recipe_error_survives_the_way_between_processes(cls: type[RecipeError]) -> None:
    error = cls([Problem("a.yaml:1", "one")])
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert again.problems == error.problems
    assert str(again) == str(error)


@pytest.mark.parametrize("cls", [ConfigError, FrozenMaskError])
def test_plain_errors_carry_their_text(cls: type[PruneFlowError]) -> None:
    assert str(cls("text")) == "text"


def test_a_near_word_is_suggested_alone() -> None:
    assert did_you_mean("schedul", ["start", "schedule"]) == " Did you mean 'schedule'?"


def test_with_no_near_word_all_are_listed_in_order() -> None:
    assert did_you_mean("xyz", ["b", "a"]) == " Allowed: a, b."


def test_a_list_may_be_asked_for_always() -> None:
    hint = did_you_mean("schedul", ["start", "schedule"], always=True)
    assert hint == " Did you mean 'schedule'? Allowed: schedule, start."


def test_a_word_that_has_two_meanings_is_listed_once() -> None:
    assert did_you_mean("xyz", ["output", "input", "output"]) == " Allowed: input, output."


def test_with_no_options_nothing_is_said() -> None:
    assert did_you_mean("xyz", []) == ""
    assert did_you_mean(None, ["a"]) == " Allowed: a."
