"""``weight_decay``: lent for a span, and given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import optim

from pruneflow.errors import PlanError, RecipeError, TrainingError
from tests.loop import OPTIMIZERS, Loop, plan_of

SPAN = {"start": "2st", "end": "4st"}


def grouped(*decays: float) -> Callable[[Any], optim.Optimizer]:
    """An optimizer with a group for each of these decays."""

    def make(model: Any) -> optim.Optimizer:
        parameters = list(model.parameters())
        groups = [
            {"params": [p], "weight_decay": d} for p, d in zip(parameters, decays, strict=False)
        ]
        return optim.AdamW(groups, 0.01)

    return make


def seen(loop: Loop) -> list[list[float]]:
    """The decays of each update; between updates they are the module's own."""
    found: list[list[float]] = []
    (optimizer,) = loop.optimizers
    own = [group["weight_decay"] for group in optimizer.param_groups]
    optimizer.register_step_pre_hook(
        lambda o, *_: found.append([group["weight_decay"] for group in o.param_groups])
    )
    while loop.clock < loop.plan.total:
        loop.step()
        assert [group["weight_decay"] for group in optimizer.param_groups] == own
    return found


@pytest.mark.parametrize(
    ("own", "fields", "lent"),
    [
        ([0.01], {"value": 0.5}, [0.5]),
        ([0.01], {"value": 0}, [0.0]),
        ([0.01, 0.04], {"factor": 10}, [0.1, 0.4]),
        ([0.01, 0.0], {"value": 0.5}, [0.5, 0.0]),
        ([0.0, 0.0], {"value": 0.5}, [0.5, 0.5]),
        ([0.0, 0.0], {"factor": 2}, [0.0, 0.0]),
    ],
)
def test_it_is_lent_for_the_span_to_groups_that_decay(
    own: list[float], fields: dict[str, Any], lent: list[float]
) -> None:
    decay = {"type": "weight_decay", **SPAN, **fields}
    loop = Loop({"it": decay}, total=6, optimizer=grouped(*own))
    assert seen(loop) == [pytest.approx(d) for d in [own, own, lent, lent, own, own]]


def test_what_one_of_two_optimizers_spares_is_spared() -> None:
    def two(model: Any) -> list[optim.Optimizer]:
        weights = [p for p in model.parameters() if p.dim() > 1]
        biases = [p for p in model.parameters() if p.dim() == 1]
        return [optim.SGD(weights, 0.1, weight_decay=0.01), optim.SGD(biases, 0.1)]

    loop = Loop({"it": {"type": "weight_decay", "value": 0.5}}, total=1, optimizer=two)
    found: list[float] = []
    for optimizer in loop.optimizers:
        optimizer.register_step_pre_hook(
            lambda o, *_: found.append(o.param_groups[0]["weight_decay"])
        )
    loop.run()
    assert found == [0.5, 0.0]


def test_without_an_end_it_is_never_given_back() -> None:
    loop = Loop({"it": {"type": "weight_decay", "value": 0.5}}, total=3, optimizer=grouped(0.1))
    assert seen(loop) == [[0.5]] * 3
    assert [event.label for event in loop.plan.events] == ["takes the weight decay"]


def test_a_run_under_it_is_the_run_of_an_optimizer_that_has_it() -> None:
    def sgd(decay: float) -> Callable[[Any], optim.Optimizer]:
        return lambda m: optim.SGD(m.parameters(), 0.1, momentum=0.9, weight_decay=decay)

    lent = Loop({"it": {"type": "weight_decay", "value": 0.3}}, total=6, optimizer=sgd(0.01))
    own = Loop({"f": {"type": "freeze_mask"}}, total=6, optimizer=sgd(0.3))
    lent.run(), own.run()
    assert all(torch.equal(w, own.weights[name]) for name, w in lent.weights.items())


def test_two_owners_are_refused() -> None:
    one = {"type": "weight_decay", "value": 0.1, "start": "1st", "end": "5st"}
    other = {"type": "weight_decay", "factor": 2, "start": "4st"}
    with pytest.raises(PlanError, match=r"modifiers\.b: the weight decay has two owners: 'a'"):
        plan_of({"a": one, "b": other}, total=9)
    plan_of({"a": one, "b": {**other, "start": "a.end"}}, total=9)


def test_an_optimizer_without_decay_is_an_error_when_it_is_needed() -> None:
    decay = {"type": "weight_decay", "value": 0.1, "start": "2st"}
    loop = Loop({"it": decay}, 4, optimizer=lambda m: OPTIMIZERS["rprop"](m.parameters())).run(2)
    with pytest.raises(TrainingError, match=r"modifiers\.it: Rprop has no weight decay"):
        loop.step()


@pytest.mark.parametrize("fields", [{}, {"value": 0.1, "factor": 2}])
def test_it_needs_one_value(fields: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="needs exactly one of 'factor' and 'value'"):
        plan_of({"it": {"type": "weight_decay", **fields}}, total=3)
