"""Plans of whole configurations: steps without data, and the module's own rates."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader

from pruneflow.pruning.scope import find_layers
from pruneflow.recipe.compiler import compile_plan
from pruneflow.recipe.compose import load_recipe
from pruneflow.timeline import Horizon
from pruneflow.training.own_rates import own_rates
from pruneflow.training.planning import MAX_POINTS, Preview
from pruneflow.zoo.models import LeNet300100
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


def every_other(module: Module) -> dict[str, Any]:
    configured = stepped(module)
    configured["lr_scheduler"]["frequency"] = 2
    return configured


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
        (every_other, [1, 1, 0.5, 0.5]),
        (of_the_run, [1, 0.75, 0.5, 0.25]),
        (waiting, [1, 1, 1, 1]),
        (lambda module: [sgd(module), sgd(module)], [1, 1, 1, 1]),
        (lambda module: module.trainer.something_else, []),
    ],
)
def test_own_rates_are_played_without_training(configure: Any, rates: list[float]) -> None:
    assert own_rates(Module(configure), Horizon(2, 4)) == pytest.approx(rates)


def test_a_run_of_no_update_has_the_rate_that_the_first_would_have() -> None:
    assert own_rates(Module(stepped), Horizon(2, 0)) == [1.0]


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


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("frequency", [1, 2, 3])
def test_frequencies_count_as_lightning_counts_them(accumulate: int, frequency: int) -> None:
    """Batches of the epoch, looked at when an update was made."""

    class Played(Module):
        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
            return self.layer(batch).sum()

        def optimizer_step(self, epoch: int, index: int, optimizer: Any, closure: Any) -> None:
            used.append(optimizer.param_groups[0]["lr"])
            super().optimizer_step(epoch, index, optimizer, closure)

    def configure(module: Module) -> dict[str, Any]:
        configured = stepped(module)
        configured["lr_scheduler"]["frequency"] = frequency
        return configured

    used: list[float] = []
    trainer = Trainer(max_epochs=3, accumulate_grad_batches=accumulate, logger=False,
                      enable_checkpointing=False, enable_progress_bar=False,
                      enable_model_summary=False, accelerator="cpu")  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(Played(configure), DataLoader(torch.ones(5, 2), 1))
    each = -(-5 // accumulate)
    told = own_rates(Module(configure), Horizon(each, 3 * each), accumulate, 5)
    assert told == pytest.approx(used)


@pytest.mark.parametrize("recipe", ["gradual", "lottery", "lenet_imp", "one_shot"])
def test_a_plan_tells_the_rates_that_are_used(recipe: str) -> None:
    layers = find_layers(LeNet300100({"name": "sgd", "lr": 0.1}))
    plan = compile_plan(load_recipe(recipe), layers, Horizon(20))
    own = [0.1 / (step + 1) for step in range(plan.total)]
    shown = Preview(plan, own).to_dict()
    changes = dict(shown["rates"])
    rate, rates = 0.0, []
    for step in range(plan.total):
        rate = changes.get(step, rate)
        rates.append(rate)
    assert rates == plan.rates(own)


def test_a_very_long_run_is_planned_at_once_with_the_rate_of_every_event() -> None:
    layers = find_layers(LeNet300100({"name": "sgd", "lr": 0.1}))
    plan = compile_plan(load_recipe("one_shot"), layers, Horizon(7, 90_000_001))
    before = time.perf_counter()
    shown = Preview(plan, [0.1]).to_dict()
    assert time.perf_counter() - before < 5
    assert len(shown["rates"]) <= MAX_POINTS + len(plan.events) + 1
    assert all(event["lr"] is not None for event in shown["events"])


ODD_DATA = """\
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

class Odd(LightningDataModule):
    num_samples = {num_samples}
    batch_size = {batch_size}

    def train_dataloader(self):
        return DataLoader(torch.ones(12, 2), 3)
"""


@pytest.mark.parametrize(
    ("num_samples", "batch_size"),
    [("None", "2"), ("100", "2"), ("lambda self, split: 8", "None"),
     ("lambda self: 8", "2"), ("lambda self, split: None", "2")],
)  # fmt: skip
def test_data_that_means_something_else_by_these_names_is_counted(
    num_samples: str, batch_size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "odd_data", raising=False)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    text = ODD_DATA.format(num_samples=num_samples, batch_size=batch_size)
    Path("odd_data.py").write_text(text)
    tiny()
    assert run("plan", "recipe=tiny", "data.module=odd_data:Odd") == 0
    assert read(only("outputs/plans/tiny/*/plan.json"))["steps_per_epoch"] == 4


LATE = """\
from torch import nn
from pruneflow.zoo.models import Classifier

class Late(Classifier):
    def __init__(self):
        super().__init__({"name": "sgd", "lr": 0.1})
        self.fc1 = None

    def configure_model(self):
        if self.fc1 is None:
            self.fc1, self.fc2 = nn.Linear(784, 20), nn.Linear(20, 10)

    def forward(self, images):
        return self.fc2(self.fc1(images.flatten(1)).relu())
"""


def test_layers_that_are_built_late_are_planned_and_pruned() -> None:
    Path("late_net.py").write_text(LATE)
    tiny()
    arguments = ("recipe=tiny", "model.module=late_net:Late")
    assert run("train", *arguments, "hydra.run.dir=late") == 0
    plan = read(Path("late/plan.json"))
    assert list(plan["layers"]) == ["fc1.weight", "fc2.weight"]
    assert read(Path("late/result.json"))["sparsity"] == pytest.approx(0.9, abs=1e-3)
    weights = "model.weights=late/pruned.safetensors"
    assert run("train", *arguments, weights, "hydra.run.dir=later") == 0
