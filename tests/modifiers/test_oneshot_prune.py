"""``oneshot_prune`` as a declaration: its plan, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from pruneflow.errors import PlanError, RecipeError
from pruneflow.pruning.oneshot import ONESHOT
from tests.loop import plan_of, small_net
from tests.operations.test_oneshot import net


def once(**more: Any) -> dict[str, Any]:
    return {"type": "oneshot_prune", **more}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"criterion": "wanda"}, r"modifiers\.it: required field 'sparsity' is missing"),
        ({"criterion": "wnda", "sparsity": 0.5}, "Did you mean 'wanda'"),
        (
            {"criterion": "wanda", "sparsity": 0.5, "rounds": 3},
            r"modifiers\.it\.rounds: criterion 'wanda' does not use 'rounds'",
        ),
        (
            {"criterion": "snip", "sparsity": 0.5, "damping": 0.1},
            r"modifiers\.it\.damping: criterion 'snip' does not use 'damping'",
        ),
        (
            {"criterion": "sparsegpt", "sparsity": 0.5, "allocation": "global"},
            r"modifiers\.it\.allocation: .*choose 'uniform'",
        ),
        (
            {"criterion": "wanda", "sparsity": 0.9, "granularity": "2:4"},
            r"modifiers\.it\.sparsity: 2:4 means a sparsity of 0\.5",
        ),
        (
            {"criterion": "wanda", "sparsity": {"default": 0.5, "output": 0.2}},
            r"modifiers\.it\.sparsity: .*allocation: per_layer",
        ),
    ],
)
def test_what_shows_without_a_network_is_refused(fields: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        plan_of({"it": once(**fields)}, net(), total=9)


@pytest.mark.parametrize(
    ("fields", "model", "message"),
    [
        (
            {"criterion": "wanda", "granularity": "2:4"},
            small_net(),
            r"modifiers\.it\.granularity: for 2:4 a layer needs a multiple of 4 inputs",
        ),
        (
            {"criterion": "sparsegpt", "sparsity": 0.5, "granularity": {"block": [2, 2]}},
            net(),
            r"modifiers\.it\.granularity: sparsegpt chooses single weights or n:m",
        ),
        (
            {"criterion": "wanda", "sparsity": 0.5, "targets": ["0"]},
            nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2)),
            r"which only weights of Linear, .*, unlike '0\.weight' \(Embedding\)",
        ),
        (
            {"criterion": "snip", "sparsity": 0.9999},
            net(),
            r"modifiers\.it\.sparsity: .*the guard against dead layers",
        ),
    ],
)
def test_what_does_not_fit_the_network_is_refused(
    fields: Any, model: nn.Module, message: str
) -> None:
    with pytest.raises(PlanError, match=message):
        plan_of({"it": once(**fields)}, model, total=9)


@pytest.mark.parametrize("criterion", list(ONESHOT))
def test_scores_that_do_not_compare_prune_every_layer_alike(criterion: str) -> None:
    plan = plan_of({"it": once(criterion=criterion, sparsity=0.5)}, net(), total=9)
    (row,) = plan.rows
    assert row.zeros == 184
    each = {name: bounds for name, bounds in row.layers.items() if bounds[0] == bounds[1]}
    assert len(each) == (3 if ONESHOT[criterion].layerwise else 0)


def test_a_sparsity_for_each_layer() -> None:
    it = once(
        criterion="sparsegpt", allocation="per_layer", sparsity={"default": 0.5, "output": 0.25}
    )
    (row,) = plan_of({"it": it}, net(), total=9).rows
    assert row.layers == {"0.weight": (64, 64), "2.weight": (96, 96), "5.weight": (12, 12)}


def test_it_needs_a_loss_where_its_criterion_does() -> None:
    needs = {
        criterion: plan_of({"it": once(criterion=criterion, sparsity=0.5)}, net(), total=9)
        .recipe.modifiers["it"]
        .needs_loss
        for criterion in ONESHOT
    }
    assert needs == {"wanda": False, "sparsegpt": False, "snip": True, "synflow": False}


def test_two_owners_of_a_mask_are_refused() -> None:
    ramp = {"type": "prune", "sparsity": 0.5, "end": "8st", "every": "2st"}
    with pytest.raises(PlanError, match="has two owners of its mask"):
        plan_of({"ramp": ramp, "it": once(criterion="wanda", sparsity=0.6, start="5st")}, net(), 9)
