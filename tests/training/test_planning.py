"""Plans of whole configurations: steps without data, and the module's own rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import nn
from torch.optim import lr_scheduler

from pruneflow.timeline import Horizon
from pruneflow.training.planning import own_rates
from tests.e2e.command import only, read, run, tiny


class Module(LightningModule):
    """A module with a scheduler to try."""

    def __init__(self, configure: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.configure = configure

    def configure_optimizers(self) -> Any:
        return self.configure(self)


def sgd(module: Module) -> torch.optim.SGD:
    return torch.optim.SGD(module.parameters(), 1.0)


def stepped(module: Module) -> dict[str, Any]:
    optimizer = sgd(module)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": lr_scheduler.ExponentialLR(optimizer, 0.5),
                         "interval": "step"},
    }  # fmt: skip


def epochs(module: Module) -> tuple[list[Any], list[Any]]:
    optimizer = sgd(module)
    return [optimizer], [lr_scheduler.ExponentialLR(optimizer, 0.5)]


def of_the_run(module: Module) -> dict[str, Any]:
    optimizer = sgd(module)
    total = int(module.trainer.estimated_stepping_batches)
    return {"optimizer": optimizer,
            "lr_scheduler": {"scheduler": lr_scheduler.LinearLR(optimizer, 1.0, 0.25, total - 1),
                             "interval": "step"}}  # fmt: skip


def waiting(module: Module) -> dict[str, Any]:
    optimizer = sgd(module)
    return {"optimizer": optimizer,
            "lr_scheduler": {"scheduler": lr_scheduler.ReduceLROnPlateau(optimizer),
                             "monitor": "loss"}}  # fmt: skip


@pytest.mark.parametrize(
    ("configure", "rates"),
    [
        (sgd, [1, 1, 1, 1]),
        (stepped, [1, 0.5, 0.25, 0.125]),
        (epochs, [1, 1, 0.5, 0.5]),
        (of_the_run, [1, 0.75, 0.5, 0.25]),
        (waiting, [1, 1, 1, 1]),
        (lambda module: [sgd(module), sgd(module)], [1, 1, 1, 1]),
        (lambda module: module.trainer.something_else, []),
    ],
)
def test_own_rates_are_played_without_training(configure: Any, rates: list[float]) -> None:
    assert own_rates(Module(configure), Horizon(2, 4)) == pytest.approx(rates)


def test_planning_reads_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: object, stage: object = None) -> None:
        raise AssertionError("data was read")

    monkeypatch.setattr("pruneflow.zoo.data.ImageData.setup", forbidden)
    tiny()
    assert run("plan", "recipe=tiny", "data=mnist") == 0
    plan = read(only("outputs/plans/tiny/*/plan.json"))
    assert plan["steps_per_epoch"] == -(-55_000 // 64)


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ([], 20),
        (["data.batch_size=1000"], 2),
        (["trainer.accumulate_grad_batches=3"], 7),
        (["steps_per_epoch=11"], 11),
        (["+trainer.limit_train_batches=5"], 5),
        (["+trainer.limit_train_batches=0.5"], 10),
    ],
)
def test_steps_come_from_the_configuration(overrides: list[str], steps: int) -> None:
    tiny()
    assert run("plan", "recipe=tiny", *overrides) == 0
    assert read(only("outputs/plans/tiny/*/plan.json"))["steps_per_epoch"] == steps


def test_the_plan_draws_the_modules_own_scheduler_too() -> None:
    tiny()
    assert run("plan", "recipe=tiny", "optimizer.scheduler=cosine") == 0
    plan = read(only("outputs/plans/tiny/*/plan.json"))
    own, rates = dict(plan["own_rates"]), dict(plan["rates"])
    assert own[0] == rates[0] == 0.05
    assert len(own) == plan["steps"]
    assert rates[20] == pytest.approx(0.2 * own[20])
    assert only("outputs/plans/tiny/*/plan.png").stat().st_size > 10_000
