"""Removing channels under Lightning: resumes across it, and what it cannot be told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import StochasticWeightAveraging
from torch import distributed

import pruneflow
from pruneflow import ExactCheckpoint, RecipeCallback
from pruneflow.errors import PlanError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

RECIPE = {
    "modifiers": {
        "prune": {"type": "prune", "granularity": "channel", "start": "4st", "sparsity": 0.5},
        "shrink": {"type": "shrink", "start": "14st"},
        "later": {"type": "prune", "start": "20st", "sparsity": 0.8},
    }
}


class Toy(toy.Toy):
    """It says what its input is like."""

    def __init__(self) -> None:
        super().__init__("step")
        self.example_input_array = torch.zeros(2, toy.FEATURES)

    def forward(self, inputs: torch.Tensor) -> Any:
        return self.body(inputs)


def shrunk(*others: Any, resume: Any = None, **options: Any) -> tuple[Any, RecipeCallback]:
    recipe = RecipeCallback(build(RECIPE))
    _, module = toy.fit([recipe, *others], Toy, resume=resume, **options)
    return module, recipe


def everything(module: Any, recipe: RecipeCallback) -> str:
    (optimizer,) = module.trainer.optimizers
    return toy.digest([module.state_dict(), optimizer.state_dict(), recipe.state_dict()])


def test_a_resume_at_any_step_is_exact(tmp_path: Path) -> None:
    whole, recipe = shrunk(ExactCheckpoint(tmp_path / "whole", 1, 99), max_epochs=2)
    assert whole.body[0].weight.shape == (8, toy.FEATURES)
    assert recipe.engine is not None
    assert recipe.engine.sparsity == pytest.approx(0.8, abs=0.002)
    for step in (3, 12, 13, 14, 15, 21):
        path = tmp_path / "whole" / f"step{step:08d}.ckpt"
        resumed = shrunk(ExactCheckpoint(tmp_path / path.stem, 1), resume=path, max_epochs=2)
        assert everything(*resumed) == everything(whole, recipe), path.name


def test_a_checkpoint_loads_where_the_module_is_resized(tmp_path: Path) -> None:
    whole, _ = shrunk(max_epochs=2)
    fresh = Toy()
    pruneflow.resize(fresh, whole.state_dict())
    fresh.load_state_dict(whole.state_dict())
    inputs = torch.randn(3, toy.FEATURES)
    assert torch.equal(fresh.eval()(inputs), whole.eval()(inputs))


def test_without_an_example_the_mend_is_named() -> None:
    with pytest.raises(PlanError, match=r"modifiers\.prune: .*set 'example_input_array'"):
        toy.fit([RecipeCallback(build(RECIPE))])


def test_averages_are_refused() -> None:
    swa = StochasticWeightAveraging(1e-2, swa_epoch_start=1)
    with pytest.raises(PlanError, match=r"modifiers\.shrink: .*StochasticWeightAveraging"):
        shrunk(swa, max_epochs=2)


def test_several_processes_are_refused() -> None:
    try:
        with pytest.raises(PlanError, match="cannot be told to DDPStrategy: train on one device"):
            shrunk(strategy="ddp", max_epochs=2)
    finally:
        distributed.destroy_process_group()
