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
    ("length: 0.01ep  #!\n" + OK, "0.01ep rounds to no step at all: write 0st to train nothing"),
    (
        "length: 0ep\nmodifiers:\n  p: {type: prune, sparsity: 0.5, start: 2ep}  #!\n",
        "works until step 20, but the run ends at step 0: it needs a length of 2ep (20 steps)",
    ),
    ("length: 0ep\nmodifiers: {r: {type: lr, factor: 0.5}}  #!\n", "trains nothing: remove it"),
    (
        "length: 0ep\nmodifiers: {r: {type: regularize, kind: l1, strength: 0.1}}  #!\n",
        "r.type: works while a network trains, and a run of length 0 trains nothing: remove it",
    ),
    (with_fields("prune", "sparsity: 0.5; start: 120%  #!"), "more than the whole run"),
    (with_fields("prune", "sparsity: 0.5; regrow: 0.3  #!"), "there is just that one"),
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
    (
        with_fields("regularize", "kind: slimming  #!; strength: 0.1"),
        "'slimming' shrinks scales of batch norms, and this network has none that train",
    ),
    (with_fields("trainable", "value: true  #!"), "is trainable already: write false"),
    (with_fields("trainable", "value: false; targets: [norm]  #!"), "'norm' matches no layer"),
    (with_fields("weight_decay", "value: 0.1; start: 10ep  #!"), "the run ends there"),
    (
        with_fields("dynamic_sparse", "sparsity: 0.5; end: 12ep"),
        "works until step 120, but the run",
    ),
    (with_fields("dynamic_sparse", "sparsity: 0.5; start: 8ep; end: 60%  #!"), "after the start"),
    (with_fields("dynamic_sparse", "sparsity: 0.5; every: 8ep  #!"), "is no exchange between"),
    (with_fields("dynamic_sparse", "sparsity: 0  #!; every: 1ep"), "nothing to grow back"),
    (with_fields("dynamic_sparse", "sparsity: 0.5; criterion: snip  #!"), "start later (1st)"),
    (with_fields("dynamic_sparse", "drop_fraction: 1  #!; sparsity: 0.5"), "outside the range"),
    (with_fields("dynamic_sparse", "sparsity: {fc1: 0.5}  #!"), "needs 'allocation: per_layer'"),
    (with_fields("acdc", "sparsity: 0.5; end: 12ep"), "works until step 120, but the run ends"),
    (with_fields("acdc", "sparsity: 0.5; phase: 4ep; end: 80%  #!"), "there is no room for a comp"),
    (
        "length: 10ep\nmodifiers:\n  i: {" + ROUNDS + ", targets: [fc2]}\n"
        "  m: {type: acdc, sparsity: 0.5, phase: 1ep, targets: [fc1], start: 1ep}  #!\n",
        "'i' rewinds the network at step 20, while this prunes weights and grows them back",
    ),
    (
        "length: 10ep\nmodifiers:\n  i: {" + ROUNDS + ", targets: [fc2]}\n"
        "  m: {type: dynamic_sparse, sparsity: 0.5, every: 1ep, targets: [fc1]}  #!\n",
        "'i' rewinds the network at step 20",
    ),
    (
        "length: 10ep\nmodifiers:\n  m: {type: acdc, sparsity: 0.5, phase: 1ep, start: 1ep}  #!\n"
        "  f: {type: freeze_mask, start: 2ep}\n",
        "changes the mask of 'fc1.weight' at step 30, but 'f' froze it",
    ),
    ("modifiers:\n  a.b: {type: prune, sparsity: 0.5}  #!\n", "a word of letters, digits"),
]


@pytest.mark.parametrize(("text", "reason"), IMPOSSIBLE)
def test_what_cannot_be_is_refused_with_the_reason(text: str, reason: str) -> None:
    check(text, reason)


def test_a_fragment_is_no_recipe() -> None:
    with pytest.raises(RecipeError, match="'_parts/decay' is a fragment"):
        load_recipe("_parts/decay")
