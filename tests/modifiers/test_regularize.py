"""``regularize``: a run under a penalty is that of a loss which has the penalty in it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim

from pruneflow.errors import PlanError, TrainingError
from pruneflow.pruning.scope import find_layers
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_plan
from pruneflow.timeline import Horizon
from tests.loop import Loop, bits, plan_of, revived, small_net
from tests.pruning.test_penalties import FORMULAS


def normed_net() -> nn.Module:
    """6-8-5-3 with a batch norm, its scales not all one, and a layer norm."""
    torch.manual_seed(0)
    net = nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(6, 8),
            norm=nn.BatchNorm1d(8),
            fc2=nn.Linear(8, 5),
            layer=nn.LayerNorm(5),
            output=nn.Linear(5, 3),
        )
    )
    nn.init.normal_(net.norm.weight)
    return net


WEIGHTS = {"fc1.weight", "fc2.weight", "output.weight"}
ABOUT = {"l1": WEIGHTS, "group_lasso": WEIGHTS, "slimming": {"norm.weight"}}


class WithPenalty(Loop):
    """The same training, the penalty in the loss of updates 3 to 6."""

    kind, about, strength = "l1", WEIGHTS, 0.05

    def _backward(self, step: int) -> torch.Tensor:
        loss = super()._backward(step)
        if 3 <= step - 1 < 7:
            named = dict(self.model.named_parameters())
            penalty = sum(FORMULAS[self.kind](named[name]) for name in self.about)
            (self.strength * penalty).backward()
        return loss


def press(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "regularize", "kind": kind, "strength": 0.05, **more}


SPAN = {"start": "3st", "end": "7st"}
FREEZE = {"f": {"type": "freeze_mask"}}


def of_every_parameter(model: Any) -> list[optim.Optimizer]:
    """Two optimizers, each of half the parameters."""
    parameters = list(model.parameters())
    return [optim.SGD(parameters[:3], 0.1, momentum=0.9), optim.SGD(parameters[3:], 0.1)]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("kind", ABOUT)
def test_the_run_is_that_of_a_loss_with_the_penalty(kind: str, accumulate: int) -> None:
    common: dict[str, Any] = {"total": 9, "net": normed_net, "accumulate": accumulate}
    common["optimizer"] = of_every_parameter
    loop = Loop({"it": press(kind, **SPAN), **FREEZE}, **common)
    other = WithPenalty(FREEZE, **common)
    other.kind, other.about = kind, ABOUT[kind]
    bare = Loop(FREEZE, **common).run()
    loop.run(), other.run()
    for name, weight in loop.weights.items():
        torch.testing.assert_close(weight, other.weights[name])
    changed = (loop.weights[n] - bare.weights[n] for n in ABOUT[kind])
    assert all(difference.abs().max() > 1e-3 for difference in changed)


@pytest.mark.parametrize("strength", [0.01, 0.3])
def test_strength_multiplies_the_penalty(strength: float) -> None:
    def sgd(model: Any) -> optim.Optimizer:
        return optim.SGD(model.parameters(), 1.0)

    moved, bare = (
        Loop({"it": press("l1") | {"strength": strength}}, 1, optimizer=sgd),
        Loop(FREEZE, 1, optimizer=sgd),
    )
    signs = {name: weight.sign() for name, weight in moved.weights.items() if weight.ndim > 1}
    moved.step(), bare.step()
    for name, sign in signs.items():
        torch.testing.assert_close(bare.weights[name] - moved.weights[name], strength * sign)


def test_only_its_targets_are_pressed() -> None:
    loop = Loop({"it": press("l1", targets=["fc2"])}, total=1)
    bare = Loop(FREEZE, total=1)
    loop.step(), bare.step()
    changed = {n for n, w in loop.weights.items() if not torch.equal(w, bare.weights[n])}
    assert changed == {"fc2.weight"}


@pytest.mark.parametrize("kind", ["l1", "group_lasso"])
def test_pruned_weights_stay_positive_zero(kind: str) -> None:
    prune = {"type": "prune", "sparsity": 0.6, "start": "2st"}
    loop = Loop({"p": prune, "it": press(kind, strength=1.0)}, total=6)
    while loop.clock < 6:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"
    assert loop.plan.rows[-1].zeros == sum(int((~mask).sum()) for mask in loop.masks.values())


def test_the_plan_shows_where_it_begins_and_ends_and_counts_no_weights() -> None:
    plan = plan_of({"it": press("l1", **SPAN)}, total=9)
    marks = [(event.step, event.action, event.label) for event in plan.events]
    assert marks == [(3, "mark", "the penalty begins"), (7, "mark", "the penalty ends")]
    assert plan.layers == ()
    assert "the penalty begins" in str(plan)


def test_a_span_until_the_end_has_no_second_mark() -> None:
    plan = plan_of({"it": press("l1", start="3st")}, total=9)
    assert [event.step for event in plan.events] == [3]


@pytest.mark.parametrize(
    ("more", "about"),
    [
        ({}, {"norm.weight", "last.weight"}),
        ({"ignore": ["last"]}, {"norm.weight"}),
        ({"targets": ["norm"]}, {"norm.weight"}),
        ({"targets": {"ignore": ["norm"]}}, {"last.weight"}),
        ({"targets": {"types": ["BatchNorm1d"]}}, {"norm.weight"}),
    ],
)
def test_slimming_is_about_batch_norms(more: dict[str, Any], about: set[str]) -> None:
    def net() -> nn.Module:
        made = normed_net()
        made.append(nn.BatchNorm1d(3, affine=False))
        made.add_module("last", nn.SyncBatchNorm(3))
        return made

    plan = plan_of({"it": press("slimming", **more)}, net(), total=3, targets=["fc1"])
    weights = dict(net().named_parameters())
    for weight in weights.values():
        weight.grad = torch.zeros_like(weight)
    plan.duties[0].change(weights)
    assert {n for n, w in weights.items() if w.grad.any()} == about


@pytest.mark.parametrize("net", [small_net, lambda: normed_net().requires_grad_(False)])
def test_slimming_needs_batch_norms_that_train(net: Callable[[], nn.Module]) -> None:
    with pytest.raises(PlanError, match=r"modifiers\.it\.kind: .*batch norm.*has none"):
        plan_of({"it": press("slimming")}, net(), total=3)


def test_slimming_refuses_a_name_that_is_no_batch_norm() -> None:
    with pytest.raises(PlanError, match=r"it\.targets: 'fc1' matches no layer"):
        plan_of({"it": press("slimming", targets=["fc1"])}, normed_net(), total=3)


def test_a_plan_that_knows_no_norms_says_what_it_needs() -> None:
    recipe = schema.build({"modifiers": {"it": press("slimming")}})
    with pytest.raises(PlanError, match="compile_plan needs vectors=find_vectors"):
        compile_plan(recipe, find_layers(normed_net()), Horizon(3, 3))


def test_gradients_that_come_too_late_are_an_error() -> None:
    loop = Loop({"it": press("l1")}, total=3, closure=True)
    with pytest.raises(TrainingError, match=r"modifiers\.it: needs gradients before an update"):
        loop.step()


def test_a_span_that_is_empty_is_refused() -> None:
    with pytest.raises(PlanError, match=r"it\.end: the end \(step 3\) is not after the start"):
        plan_of({"it": press("l1", start="3st", end="3st")}, total=9)
    with pytest.raises(PlanError, match=r"it\.start: .*the run ends there"):
        plan_of({"it": press("l1", start="9st")}, total=9)


def test_a_parameter_without_a_gradient_gets_none() -> None:
    def half(model: Any) -> optim.Optimizer:
        model.fc1.requires_grad_(False)
        return optim.SGD(model.parameters(), 0.1)

    loop = Loop({"it": press("l1", targets=["fc1", "fc2"])}, total=3, optimizer=half)
    before = loop.weights["fc1.weight"]
    assert bits(loop.run().weights["fc1.weight"]) == bits(before)
