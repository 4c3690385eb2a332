"""``trainable``: in its span no bit of its layers moves, whatever the optimizer remembers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pruneflow.errors import PlanError, RecipeError
from tests.loop import OPTIMIZERS, Loop, bits, plan_of, small_net
from tests.modifiers.test_regularize import normed_net

SPAN = {"start": "3st", "end": "7st"}


def still(targets: Any, **more: Any) -> dict[str, Any]:
    return {"type": "trainable", "value": False, "targets": targets, **SPAN, **more}


def moving(loop: Loop) -> list[set[str]]:
    """Which parameters each update changes."""
    found = []
    while loop.clock < loop.plan.total:
        before = loop.weights
        loop.step()
        found.append({n for n, w in loop.weights.items() if bits(w) != bits(before[n])})
    return found


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"lbfgs"}))
def test_no_optimizer_moves_it_in_its_span_and_every_one_afterwards(name: str) -> None:
    bias = name != "muon"  # which takes matrices alone
    loop = Loop(
        {"it": still(["fc1"])},
        total=10,
        net=lambda: small_net(bias),
        optimizer=lambda model: OPTIMIZERS[name](model.parameters()),
    )
    its = {"fc1.weight", "fc1.bias"} if bias else {"fc1.weight"}
    for step, moved in enumerate(moving(loop)):
        assert moved, step
        assert bool(its & moved) == (not 3 <= step < 7)


@pytest.mark.parametrize(
    ("targets", "its"),
    [
        (["fc1"], {"fc1.weight", "fc1.bias"}),
        (["fc1.weight"], {"fc1.weight"}),
        (["*.bias"], {"fc1.bias", "norm.bias", "fc2.bias", "layer.bias", "output.bias"}),
        (["input", "norm"], {"fc1.weight", "fc1.bias", "norm.weight", "norm.bias"}),
        (["output"], {"output.weight", "output.bias"}),
        ({"types": ["LayerNorm"]}, {"layer.weight", "layer.bias"}),
        ({"names": ["fc1", "output"], "ignore": ["*.bias"]}, {"fc1.weight", "output.weight"}),
        (["*"], set(dict(normed_net().named_parameters()))),
        (None, {n for n, _ in normed_net().named_parameters() if n[0] in "fo"}),
    ],
)
def test_a_layer_is_its_bias_too_and_norms_may_be_named(targets: Any, its: set[str]) -> None:
    fields = still(targets)
    if targets is None:
        del fields["targets"]
    loop = Loop({"it": fields}, total=9, net=normed_net).run(3)
    before = loop.weights
    loop.step()
    assert {n for n, w in loop.weights.items() if bits(w) == bits(before[n])} == its


def test_gradients_that_add_up_are_dropped_too() -> None:
    loop = Loop({"it": still(["fc1"])}, total=9, accumulate=3)
    assert ["fc1.weight" in moved for moved in moving(loop)] == [True] * 3 + [False] * 4 + [
        True
    ] * 2


def test_a_penalty_and_weight_decay_move_nothing_that_stands_still() -> None:
    press = {"type": "regularize", "kind": "l1", "strength": 1.0}
    decay = {"type": "weight_decay", "value": 0.5}
    for first, second in (("a", "z"), ("z", "a")):
        tree = {first: press, second: still(["fc1"]), "decay": decay}
        moved = moving(Loop(tree, total=9))
        assert ["fc1.weight" in names for names in moved][:7] == [True] * 3 + [False] * 4
        assert all("fc2.weight" in names for names in moved)


def test_masks_still_change_what_stands_still() -> None:
    prune = {"type": "prune", "sparsity": 0.5, "start": "5st", "allocation": "uniform"}
    moved = moving(Loop({"p": prune, "it": still(["fc1"])}, total=9))
    assert ["fc1.weight" in names for names in moved][3:7] == [False, True, False, False]


def test_everything_may_stand_still() -> None:
    moved = moving(Loop({"it": still(["*"])}, total=9))
    assert [bool(names) for names in moved] == [True] * 3 + [False] * 4 + [True] * 2


def test_its_marks_are_in_the_plan_and_no_layer_gets_a_mask() -> None:
    plan = plan_of({"it": still(["fc1"])}, total=9)
    labels = [(event.step, event.label) for event in plan.events]
    assert labels == [(3, "stops training its layers"), (7, "trains its layers again")]
    assert plan.layers == ()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "is trainable already: write false"),
        (0, "can only be false"),
        ("no", "only be false"),
    ],
)
def test_false_is_all_it_can_be(value: Any, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        plan_of({"it": still(["fc1"], value=value)}, total=9)


def test_a_name_that_matches_nothing_is_refused() -> None:
    with pytest.raises(PlanError, match=r"it\.targets: 'norm' matches no layer"):
        plan_of({"it": still(["norm"])}, total=9)


def test_a_weight_that_two_modules_share_is_meant_by_both_names() -> None:
    net = small_net()
    net.add_module("tied", nn.Linear(8, 5))
    net.tied.weight = net.fc2.weight
    plan = plan_of({"it": still(["tied"])}, net, total=9)
    weights = dict(net.named_parameters())
    for weight in weights.values():
        weight.grad = torch.ones_like(weight)
    plan.duties[0].change(weights)
    assert {n for n, w in weights.items() if w.grad is None} == {"fc2.weight", "tied.bias"}
