"""Recipes whose every word is right and whose sense is not: refused in the plan, with the reason.

The line that the person has to edit is marked with ``#!``, as in ``test_broken_recipes``.
"""

from __future__ import annotations

import pytest

from pruneflow.errors import RecipeError
from pruneflow.recipe.compose import load_recipe
from tests.recipe.test_broken_recipes import OK, check, with_fields

ROUNDS = "type: iterative_prune, rounds: 2, every: 2ep"

IMPOSSIBLE = [
    ("length: 0ep  #!\n" + OK, "is no step at all"),
    ("length: 0.01ep  #!\n" + OK, "is no step at all"),
    (with_fields("prune", "sparsity: 0.5; start: 120%  #!"), "more than the whole run"),
    (
        "length: 4ep\nmodifiers:\n  m: {" + ROUNDS + ", start: 50%}  #!\n",
        "begins at a share of the run, so begin earlier or do less",
    ),
    (
        with_fields("prune", "sparsity: 0.5; start: 8ep; end: 60%  #!"),
        "before the start (step 80) in a run of 100 steps: train longer, or start earlier",
    ),
    (
        with_fields("prune", "schedule: multistep; milestones: {2ep: 0.8, 4ep: 0.5}  #!"),
        "sparsity falls from 0.8 to 0.5",
    ),
    (
        with_fields("prune", "schedule: multistep; milestones: {2ep: 0.5, 20st: 0.6}  #!"),
        "two of them fall on step 20",
    ),
    (
        "modifiers:\n  a: {" + ROUNDS + ", targets: [fc1]}\n"
        "  b: {" + ROUNDS + ", targets: [fc2]}  #!\n",
        "rewinds the network, and so does 'a'",
    ),
    (
        "modifiers:\n  a: {" + ROUNDS + "}\n"
        "  rate: {type: lr, init: 0.1, start: 3ep, end: 4ep}  #!\n",
        "of a round never comes",
    ),
    ("modifiers:\n  a.b: {type: prune, sparsity: 0.5}  #!\n", "a word of letters, digits"),
]


@pytest.mark.parametrize(("text", "reason"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_with_the_reason(text: str, reason: str) -> None:
    check(text, reason)


def test_a_fragment_is_no_recipe() -> None:
    with pytest.raises(RecipeError, match="'_parts/decay' is a fragment"):
        load_recipe("_parts/decay")
