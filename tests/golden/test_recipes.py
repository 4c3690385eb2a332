"""The built-in recipes, frozen: what each does to LeNet-300-100, step by step.

A change here changes what a person's training does. Where it is meant, rewrite the files with

    PRUNEFLOW_GOLDEN=write python -m pytest tests/golden/test_recipes.py

and read the difference before committing it. A timeline row is
``[step, modifier, action, nonzeros]``; ``nonzeros`` is null where it depends on the weights.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from torch import nn

from pruneflow.pruning.scope import find_layers
from pruneflow.recipe import library
from pruneflow.recipe.compiler import compile_plan
from pruneflow.recipe.compose import load_recipe
from pruneflow.timeline import Horizon

GOLDEN = Path(__file__).resolve().parent
WRITE = os.environ.get("PRUNEFLOW_GOLDEN") == "write"
NAMES = sorted(path.stem for path in (library.data_root() / "recipes").glob("*.yaml"))


class LeNet300100(nn.Module):
    """LeCun et al. 1998; the network of both Han et al. 2015 and Frankle & Carbin 2019."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.output = (
            nn.Linear(784, 300),
            nn.Linear(300, 100),
            nn.Linear(100, 10),
        )


def frozen(name: str) -> dict[str, object]:
    """What is frozen about a recipe, compiled at ten steps an epoch for its own length."""
    recipe = load_recipe(f"builtin/{name}")
    plan = compile_plan(recipe, find_layers(LeNet300100()), Horizon(10))
    timeline = [
        [
            row.event.step,
            row.event.modifier,
            row.event.action,
            None if row.zeros is None else plan.size - row.zeros,
        ]
        for row in plan.rows
    ]
    return {
        "digest": recipe.digest,
        "steps": plan.total,
        "weights": plan.size,
        "rate_spans": [[span.modifier, span.start, span.end] for span in plan.rate_spans],
        "rate_rewinds": [[rewind.step, rewind.clock] for rewind in plan.rate_rewinds],
        "timeline": timeline,
    }


def written(data: dict[str, object]) -> str:
    """JSON with one row of the timeline a line."""
    lines = []
    for key, value in data.items():
        text = json.dumps(value)
        if key == "timeline" and isinstance(value, list):
            text = "[\n" + ",\n".join(f"    {json.dumps(row)}" for row in value) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_recipe_does_what_it_did(name: str) -> None:
    path, now = GOLDEN / f"{name}.json", frozen(name)
    if WRITE:
        path.write_text(written(now), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == now


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_recipe_reaches_its_sparsity_and_stays(name: str) -> None:
    """Not frozen but true of all: nothing grows back, and the last count is the promised one."""
    recipe = load_recipe(f"builtin/{name}")
    plan = compile_plan(recipe, find_layers(LeNet300100()), Horizon(10))
    zeros = [row.zeros for row in plan.rows if row.event.action == "prune"]
    assert None not in zeros
    assert zeros == sorted(zeros, key=lambda count: count or 0)
    if zeros:
        assert zeros[-1] == round(0.9 * plan.size)
    assert max(row.event.step for row in plan.rows) <= plan.total


def test_every_recipe_has_its_golden_file_and_no_other() -> None:
    assert library.names() == NAMES, "the folder a test runs in holds no recipes of its own"
    assert NAMES
    for stale in {path.stem for path in GOLDEN.glob("*.json")} - set(NAMES) if WRITE else ():
        (GOLDEN / f"{stale}.json").unlink()
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == NAMES
