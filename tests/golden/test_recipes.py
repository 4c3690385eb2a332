"""The built-in recipes, frozen: what each does to a network, step by step.

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
import torch
from torch import nn

from pruneflow.recipe import library
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.compose import load_recipe
from pruneflow.recipe.plan import Plan
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
        self.example_input_array = torch.zeros(2, 784)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.output(self.fc2(self.fc1(inputs).relu()).relu())


class ConvolutionsWithNorms(nn.Module):
    """For recipes that need batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.conv2, self.norm2 = nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16)
        self.output = nn.Linear(16, 10)
        self.example_input_array = torch.zeros(2, 1, 8, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.norm2(self.conv2(self.norm1(self.conv1(images)).relu())).relu()
        return self.output(maps.amax((2, 3)))


class MultiplesOf32(nn.Module):
    """For recipes that prune blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.output = nn.Linear(320, 320), nn.Linear(320, 10)


NETWORKS: dict[str, type[nn.Module]] = {
    "block_32": MultiplesOf32,
    "slimming": ConvolutionsWithNorms,
}
"""Where it is not LeNet-300-100."""

SPARSITIES = {
    "block_32": 0.7,
    "channel_shrink": 0.5,
    "slimming": 0.5,
    "sparsegpt_2_4": 0.5,
    "wanda_2_4": 0.5,
}
"""Where it is not 0.9."""


def plan_of(name: str) -> Plan:
    """A built-in recipe, compiled at ten steps an epoch for its own length."""
    network = NETWORKS.get(name, LeNet300100)()
    return compile_for(load_recipe(f"builtin/{name}"), network, Horizon(10))


def frozen(name: str) -> dict[str, object]:
    """What is frozen about a recipe."""
    plan = plan_of(name)
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
        "digest": plan.recipe.digest,
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
    """Not frozen but true of all: nothing grows back, and the last count is the promised one.

    Of channels where their scores decide how many weights those are.
    """
    plan = plan_of(name)
    zeros, size = [], plan.size
    for row in (row for row in plan.rows if row.event.action == "prune"):
        zeros.append(row.zeros)
        if row.zeros is None and (quota := row.event.channels) is not None:
            zeros[-1] = quota.zeros
            size = sum(group.channels for group in row.event.groups if group.name in quota.caps)
    assert None not in zeros
    assert zeros == sorted(zeros, key=lambda count: count or 0)
    if zeros:
        assert zeros[-1] == round(SPARSITIES.get(name, 0.9) * size)
    assert max(row.event.step for row in plan.rows) <= plan.total


def test_every_recipe_has_its_golden_file_and_no_other() -> None:
    assert library.names() == NAMES, "the folder a test runs in holds no recipes of its own"
    assert NAMES
    for stale in {path.stem for path in GOLDEN.glob("*.json")} - set(NAMES) if WRITE else ():
        (GOLDEN / f"{stale}.json").unlink()
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == NAMES
