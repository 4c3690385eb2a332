"""The learning rate under Lightning: lent, given back, and wound back with every round."""

from __future__ import annotations

from typing import Any

import pytest
import pytorch_lightning as pl

from pruneflow import RecipeCallback
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)


class Rates(pl.Callback):
    """Notes the rate that each update used, and the one that anybody sees between updates."""

    def __init__(self) -> None:
        self.used: list[float] = []
        self.between: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.between.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.used.append(optimizer.param_groups[0]["lr"])  # inside of the step, by the closure


def _rates(scheduler: str, modifiers: Any, **options: Any) -> tuple[Rates, RecipeCallback]:
    recipe, rates = RecipeCallback(build({"modifiers": modifiers})), Rates()
    toy.fit([recipe, rates], module=lambda: toy.Toy(scheduler), **options)
    assert recipe.is_complete
    return rates, recipe


CURVES = ["none", "step", "epoch", "onecycle", "plateau on a constant"]
"""Schedules that do not depend on how well the training goes."""


@pytest.mark.parametrize("scheduler", CURVES)
def test_a_lent_rate_leaves_the_schedule_of_the_module_alone(scheduler: str) -> None:
    alone, _ = _rates(scheduler, toy.once()["modifiers"])
    lend = {"type": "lr", "init": 0.123, "start": "5st", "end": "20st"}
    lent, recipe = _rates(scheduler, {**toy.once()["modifiers"], "lr": lend})
    assert lent.between == alone.between
    assert lent.used == [*alone.used[:5], *[0.123] * 15, *alone.used[20:]]
    assert alone.used == alone.between
    assert lent.used == recipe.plan.rates(alone.used)


@pytest.mark.parametrize("back_to", ["0st", "1ep"])
@pytest.mark.parametrize("scheduler", CURVES)
def test_every_round_runs_through_the_same_rates(scheduler: str, back_to: str) -> None:
    """A plateau waits for a metric, so it steps after the events of its epoch's last batch."""
    rounds = {"type": "iterative_prune", "rounds": 2, "every": "3ep", "rewind_to": back_to}
    rates, recipe = _rates(scheduler, {"imp": rounds}, max_epochs=9 + (back_to == "1ep"))
    start = recipe.plan.events[0].step
    length = 3 * toy.STEPS
    one, two, three = (rates.used[start + i * length :][:length] for i in range(3))
    assert scheduler == "none" or len(set(one)) > 1
    assert two == one
    assert three == one


@pytest.mark.parametrize("scheduler", ["none", "step", "plateau on a constant"])
def test_a_lent_rate_is_wound_back_with_every_round(scheduler: str) -> None:
    modifiers = {
        "imp": {"type": "iterative_prune", "rounds": 2, "every": "2ep"},
        "lr": {"type": "lr", "schedule": "cosine", "factor": 0.1, "start": "50%"},
    }
    rates, recipe = _rates(scheduler, modifiers, max_epochs=6)
    one, two, three = (rates.used[i * 24 : (i + 1) * 24] for i in range(3))
    assert one == two == three
    assert one[23] == pytest.approx(0.1 * one[12])
    for entry in recipe.engine.state.journal:
        if entry["step"] < recipe.plan.total and entry["event"] != "prune":
            assert entry["lr"] == pytest.approx(rates.used[entry["step"]])
