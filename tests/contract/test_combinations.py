"""Words together: combinations that make sense keep every law, the others are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from pruneflow.errors import PlanError, RecipeError
from tests.loop import OPTIMIZERS, Loop, normed_net, plan_of, resumed_anywhere, small_net

TOTAL = 15

Tree = dict[str, Any]

RAMP = {"type": "prune", "start": "1ep", "end": "3ep"}
FREEZE = {"type": "freeze_mask", "start": "prune.end"}
DECAY = {"type": "lr", "start": "prune.end", "schedule": "cosine", "factor": 0.01}

SENSIBLE: dict[str, tuple[Tree, Callable[[], nn.Module]]] = {
    "gradual + distill + lr": (
        {
            "prune": {**RAMP, "sparsity": 0.8},
            "teacher": {"type": "distill", "start": "1ep"},
            "freeze": FREEZE,
            "decay": DECAY,
        },
        small_net,
    ),
    "movement + n:m": (
        {
            "prune": {
                **RAMP,
                "criterion": "movement",
                "granularity": "1:2",
                "targets": ["fc1", "fc2"],
            }
        },
        small_net,
    ),
    "shrink -> prune -> freeze": (
        {
            "channels": {
                "type": "prune",
                "granularity": "channel",
                "sparsity": 0.5,
                "start": "1ep",
            },
            "shrink": {"type": "shrink", "start": "channels.end"},
            "prune": {**RAMP, "sparsity": 0.8, "initial_sparsity": 0.5, "start": "2ep"},
            "freeze": FREEZE,
        },
        normed_net,
    ),
    "regularize + trainable + regrow": (
        {
            "press": {"type": "regularize", "kind": "l1", "strength": 0.001, "end": "prune.end"},
            "still": {"type": "trainable", "value": False, "targets": ["output"], "end": "2ep"},
            "prune": {**RAMP, "sparsity": 0.6, "regrow": 0.3, "targets": ["fc1", "fc2"]},
        },
        small_net,
    ),
    "acdc + weight_decay + recalibrate_bn": (
        {
            "prune": {
                "type": "acdc",
                "sparsity": 0.5,
                "start": "1ep",
                "phase": "1ep",
                "end": "3ep",
            },
            "decay": {"type": "weight_decay", "value": 0.01, "start": "prune.start"},
            "norms": {"type": "recalibrate_bn", "start": "prune.end"},
        },
        normed_net,
    ),
    "one-shot, then movement": (
        {
            "early": {"type": "oneshot_prune", "criterion": "snip", "sparsity": 0.3},
            "prune": {**RAMP, "sparsity": 0.7, "initial_sparsity": 0.3, "criterion": "movement"},
        },
        small_net,
    ),
}

NONSENSE: dict[str, tuple[Tree, str]] = {
    "two owners of one mask": (
        {
            "prune": {**RAMP, "sparsity": 0.5},
            "rigl": {"type": "dynamic_sparse", "sparsity": 0.5, "every": "1ep"},
        },
        "two owners",
    ),
    "gradients before the first update": (
        {"prune": {"type": "prune", "sparsity": 0.5, "criterion": "movement"}},
        "none: start later",
    ),
    "exchanging single weights of a pattern": (
        {"prune": {**RAMP, "granularity": "1:2", "regrow": 0.3, "targets": ["fc1", "fc2"]}},
        "exchanges single weights",
    ),
    "compressed and dense phases under rewinding": (
        {
            "acdc": {"type": "acdc", "sparsity": 0.5, "start": "1ep", "phase": "1ep", "end": "4ep",
                     "targets": ["fc1"]},
            "tickets": {"type": "iterative_prune", "rounds": 2, "every": "1ep", "targets": ["fc2"]},
        },
        "rewinds",
    ),
    "batch norms where there are none": (
        {"norms": {"type": "recalibrate_bn", "start": "1ep"}},
        "no batch norm",
    ),
    "two teachers": (
        {name: {"type": "distill", "start": "1ep"} for name in ("one", "other")},
        "two owners",
    ),
    "exchanging single weights of what was a pattern": (
        {
            "pattern": {"type": "prune", "granularity": "1:2", "start": "1st", "targets": ["fc1"]},
            "rigl": {"type": "dynamic_sparse", "sparsity": 0.6, "start": "1ep", "every": "1st",
                     "end": "2ep"},
        },
        "exchanges single weights, but the zeros of 'fc1.weight' are 1:2",
    ),
    "thawing": (
        {"prune": {**RAMP, "sparsity": 0.5}, "freeze": {"type": "freeze_mask", "start": "2ep"}},
        "froze it",
    ),
}  # fmt: skip


def run_of(name: str, saved: bytes | None = None) -> Loop:
    tree, net = SENSIBLE[name]
    return Loop(tree, TOTAL, net, lambda m: OPTIMIZERS["adam"](m.parameters()), saved=saved)


@pytest.mark.parametrize("name", SENSIBLE)
def test_a_sensible_combination_keeps_its_plan_and_resumes_at_any_step(name: str) -> None:
    whole = resumed_anywhere(lambda saved: run_of(name, saved))
    for entry, row in zip(whole.engine.state.journal, whole.plan.rows, strict=True):
        assert (entry["step"], entry["event"]) == (row.event.step, row.event.action)
        assert row.zeros in (None, whole.plan.size - entry["nonzeros"])


@pytest.mark.parametrize("name", NONSENSE)
def test_a_combination_that_makes_no_sense_is_refused_in_the_plan(name: str) -> None:
    tree, phrase = NONSENSE[name]
    with pytest.raises((PlanError, RecipeError), match=phrase):
        plan_of(tree, total=TOTAL)
