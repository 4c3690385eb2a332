"""Tables are what people read: their text is frozen."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from pruneflow.pruning.scope import find_layers
from pruneflow.recipe.compiler import compile_plan
from pruneflow.recipe.compose import load_recipe
from pruneflow.report.printable import printable
from pruneflow.report.tables import accuracies, plan_summary, plan_table, sweep_table
from pruneflow.timeline import Horizon
from pruneflow.training.planning import Preview
from pruneflow.zoo.models import LeNet300100

GOLDEN = Path(__file__).parent.parent / "golden"


def text(renderable: RenderableType) -> str:
    """What a terminal of a hundred columns shows."""
    stream = io.StringIO()
    Console(file=stream, width=100, color_system=None).print(renderable)
    return "".join(line.rstrip() + "\n" for line in stream.getvalue().splitlines())


@pytest.mark.parametrize(
    ("recipe", "sparsity"), [("gradual", 0.9), ("lottery", 0.5), ("lenet_imp", 0.9)]
)
def test_a_plan_reads_as_it_always_did(recipe: str, sparsity: float) -> None:
    layers = find_layers(LeNet300100({"name": "sgd", "lr": 0.1}))
    plan = compile_plan(load_recipe(recipe, sparsity), layers, Horizon(20))
    shown = Preview(plan, [0.1] * plan.total).to_dict()
    found = text(plan_summary(shown)) + text(plan_table(shown))
    file = GOLDEN / f"plan_{recipe}.txt"
    if os.environ.get("PRUNEFLOW_GOLDEN") == "write":
        file.write_text(found)
    assert found == file.read_text()


def test_a_long_plan_is_cut_in_the_middle() -> None:
    event = {"epoch": 0.0, "modifier": "p", "event": "prune", "label": "", "sparsity": 0.5,
             "nonzeros": 1, "lr": None, "layers": {}}  # fmt: skip
    plan = {"recipe": "r", "steps": 200, "steps_per_epoch": 10, "weights": 2, "layers": {},
            "events": [{**event, "step": step} for step in range(200)]}  # fmt: skip
    shown = text(plan_table(plan))
    assert "140 more" in shown
    steps = [int(line.split()[0]) for line in shown.splitlines() if line[:5].strip().isdigit()]
    assert steps == [*range(50), *range(190, 200)]


def test_what_is_not_known_is_not_shown_as_a_number() -> None:
    assert (
        accuracies({"dense": 0.5, "pruned": None, "final": 0.75}) == "50.00% dense → 75.00% final"
    )
    assert accuracies({"dense": None, "pruned": None, "final": None}) == "not measured"


def test_a_job_without_a_result_failed_or_never_came_to_its_end() -> None:
    assert "failed" in text(sweep_table([{"job": "3", "result": None, "failure": "NaN"}]))
    assert "unfinished" in text(sweep_table([{"job": "3", "result": None, "failure": None}]))


def test_names_are_text_and_no_markup() -> None:
    name = "[/][b]:x:"
    event = {"epoch": 0.0, "modifier": name, "event": "prune", "label": name, "sparsity": 0.5,
             "nonzeros": 1, "lr": None, "step": 0, "layers": {name: [1, 1]}}  # fmt: skip
    plan = {"recipe": name, "steps": 2, "steps_per_epoch": 1, "weights": 2, "layers": {name: [2]},
            "events": [event]}  # fmt: skip
    result = {"recipe": name, "seed": 0, "sparsity": 0.5, "compression": {"bytes": 0.5},
              "accuracy": {"dense": None, "pruned": None, "final": None}}  # fmt: skip
    for table in (plan_summary(plan), plan_table(plan),
                  sweep_table([{"job": name, "result": result}])):  # fmt: skip
        assert name in text(table)


def test_control_characters_are_spelled_out() -> None:
    assert printable("a\x1b[31mb\u202ec\n\té") == "a\\x1b[31mb\\u202ec\n\té"
