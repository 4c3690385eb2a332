"""Weights that are computed from other tensors are not pruned through those, and the plan says so.

Old weight norm keeps ``weight_g`` and ``weight_v`` in the layer itself, torch's parametrizations
keep originals below it. A pruned row of ``weight_v`` would be divided by its norm, zero.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn
from torch.nn.utils import parametrizations, weight_norm
from torch.nn.utils import spectral_norm as old_spectral_norm

import pruneflow
from pruneflow import RecipeCallback
from pruneflow.errors import PlanError
from pruneflow.pruning.scope import Targets, find_layers
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.schema import build
from pruneflow.report.tables import plan_summary, plan_table
from pruneflow.timeline import Horizon
from tests.lightning_side import toy

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings(toy.LIGHTNING_NOISE),
]

Wrap = Callable[[nn.Module], nn.Module]
WRAPS: list[Wrap] = [weight_norm, parametrizations.weight_norm, parametrizations.spectral_norm]
each_wrap = pytest.mark.parametrize("wrap", WRAPS, ids=["old", "weight_norm", "spectral_norm"])
PRUNE = {"type": "prune", "start": "2st", "end": "12st", "every": "2st", "sparsity": 0.9}
RECIPE = {"modifiers": {"prune": PRUNE}}


def network(wrap: Wrap = lambda layer: layer) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(wrap(nn.Linear(20, 64)), nn.ReLU(), nn.Linear(64, 2))


def told_by(table: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@each_wrap
@pytest.mark.parametrize("targets", [Targets(), Targets(types=("Linear",)), Targets(names=("*",))])
def test_nothing_that_a_weight_is_computed_from_is_chosen(wrap: Wrap, targets: Targets) -> None:
    layers = find_layers(network(wrap))
    assert [layer.name for layer in targets.choose(layers)] == ["2.weight"]
    assert targets.left_out(layers) == ["0.weight"]


@each_wrap
def test_roles_go_to_layers_that_can_be_pruned(wrap: Wrap) -> None:
    found = find_layers(nn.Sequential(wrap(nn.Linear(4, 4)), nn.Linear(4, 4), nn.Linear(4, 4)))
    assert {layer.name: layer.role for layer in found if layer.role} == {
        "1.weight": "input",
        "2.weight": "output",
    }


@each_wrap
def test_what_was_not_meant_is_not_told(wrap: Wrap) -> None:
    layers = find_layers(network(wrap))
    for targets in (Targets(names=("2",)), Targets(ignore=("0",)), Targets(types=("Conv2d",))):
        assert targets.left_out(layers) == []
    assert [layer.name for layer in Targets(ignore=("0",)).choose(layers)] == ["2.weight"]


def test_a_key_of_its_own_still_reaches_a_tensor() -> None:
    for wrap, key in (
        (weight_norm, "weight_v"),
        (parametrizations.spectral_norm, "original"),
    ):
        (chosen,) = Targets(names=(key,)).choose(find_layers(network(wrap)))
        assert chosen.name.endswith(key)


def test_weights_masked_through_a_reparametrization_are_chosen_as_ever() -> None:
    layers = find_layers(network(old_spectral_norm))
    assert [layer.name for layer in Targets().choose(layers)] == ["0.weight_orig", "2.weight"]
    assert Targets().left_out(layers) == []


@each_wrap
def test_the_whole_module_may_be_such_a_layer(wrap: Wrap) -> None:
    layers = find_layers(wrap(nn.Linear(4, 4)))
    assert Targets().left_out(layers) == ["weight"]


@each_wrap
def test_a_plan_names_what_it_leaves_out_wherever_it_is_shown(wrap: Wrap) -> None:
    plan = compile_for(build(RECIPE), network(wrap), Horizon(5, 20))
    assert plan.masked == ["2.weight"]
    tree: dict[str, Any] = plan.to_dict()
    assert tree["left_out"] == ["0.weight"]
    tree["events"] = [{**event, "lr": None} for event in tree["events"]]
    for said in (str(plan), told_by(plan_table(tree)), told_by(plan_summary(tree))):
        assert "left out: '0.weight', computed from other tensors" in said


def test_a_plan_that_leaves_nothing_out_does_not_speak_of_it() -> None:
    plan = compile_for(build(RECIPE), network(), Horizon(5, 20))
    assert "left_out" not in plan.to_dict()
    assert "left out" not in str(plan)


def test_of_many_names_some_are_told() -> None:
    wrapped = [parametrizations.weight_norm(nn.Linear(4, 4)) for _ in range(5)]
    plan = compile_for(build(RECIPE), nn.Sequential(*wrapped, nn.Linear(4, 4)), Horizon(5, 20))
    assert "left out: '0.weight', '1.weight', '2.weight' and 2 more, computed" in str(plan)


@each_wrap
@pytest.mark.parametrize("targets", [{}, {"targets": ["0"]}])
def test_where_nothing_is_left_the_error_says_why(wrap: Wrap, targets: Any) -> None:
    recipe = build({**RECIPE, **targets})
    with pytest.raises(
        PlanError, match=r"targets match nothing.*; left out: '0\.weight', computed"
    ):
        compile_for(recipe, nn.Sequential(wrap(nn.Linear(20, 64))), Horizon(5, 20))


@each_wrap
def test_a_loop_ends_with_finite_weights_and_what_it_claims(wrap: Wrap) -> None:
    model = network(wrap)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with pytest.warns(UserWarning, match=r"left out: '0\.weight', computed from other tensors"):
        pruning = pruneflow.prune(
            model, build(RECIPE), optimizer=optimizer, steps_per_epoch=5, steps=20
        )
    for _ in range(20):
        optimizer.zero_grad()
        model(torch.randn(8, 20)).square().mean().backward()
        optimizer.step()
        pruning.step()
    assert int(model[2].weight.count_nonzero()) == pruning.engine.nonzeros == 13
    assert all(p.isfinite().all() for p in model.parameters())


def test_the_callback_says_so_too() -> None:
    class Normed(toy.Toy):
        def __init__(self) -> None:
            super().__init__()
            self.more = parametrizations.weight_norm(nn.Linear(3, 3))

    with pytest.warns(UserWarning, match=r"left out: 'more\.weight', computed"):
        toy.fit([RecipeCallback(build(RECIPE))], module=Normed)
