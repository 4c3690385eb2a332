"""A callback, a folder or a trainer used again, or in a way nobody planned for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from pruneflow import ExactCheckpoint, RecipeCallback
from pruneflow.errors import PlanError, ResumeError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = [pytest.mark.filterwarnings(f"ignore:{noise}") for noise in (".*LeafSpec.*",)]

RAMP = {
    "modifiers": {
        "prune": {"type": "prune", "sparsity": 0.8, "start": "1st", "end": "30st", "every": "3st"}
    }
}


def callback(recipe: dict[str, Any] | None = None, **options: Any) -> RecipeCallback:
    return RecipeCallback(build(recipe or toy.once()), **options)


def test_a_new_run_never_writes_into_another_runs_folder() -> None:
    toy.fit([callback(), ExactCheckpoint("d", keep=1)], max_epochs=2)
    before = sorted(path.name for path in Path("d").iterdir())
    with pytest.raises(ResumeError, match="holds checkpoints of another run"):
        toy.fit([callback(), ExactCheckpoint("d", keep=1)], max_epochs=1)
    assert sorted(path.name for path in Path("d").iterdir()) == before


def test_keeping_no_checkpoint_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="keep has to be 1 or more"):
        ExactCheckpoint("d", keep=0)


def test_a_trainer_that_goes_on_keeps_the_masks() -> None:
    recipe = callback()
    run, module = toy.fit([recipe], max_epochs=2)
    pruned = toy.zeros(module)
    run.fit_loop.max_epochs = 4
    run.fit(module, toy.Batches(), toy.Halves())
    assert recipe.clock == 4 * toy.STEPS
    for name, zero in toy.zeros(module).items():
        assert torch.equal(zero, pruned[name])


def test_a_checkpoint_without_the_recipes_state_is_refused() -> None:
    run, _ = toy.fit(max_epochs=2)
    run.save_checkpoint("plain.ckpt")
    with pytest.raises(ResumeError, match="holds no state of a recipe"):
        toy.fit([callback()], max_epochs=4, resume="plain.ckpt")


def test_a_dry_run_of_one_batch_is_no_mistake() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", message=".*srun.*")
        toy.fit([callback(RAMP)], max_epochs=1, fast_dev_run=True, enable_checkpointing=False)


def test_steps_that_the_loader_does_not_make_are_refused() -> None:
    with pytest.raises(PlanError, match=f"makes {toy.STEPS} updates an epoch"):
        toy.fit([callback(steps_per_epoch=5)], max_epochs=9)


def test_best_checkpoints_do_not_pile_up() -> None:
    best = ModelCheckpoint("best", monitor="val_loss", save_top_k=1)
    toy.fit([callback(RAMP), best], max_epochs=6)
    assert [str(path) for path in Path("best").resolve().iterdir()] == [best.best_model_path]


class Manual(toy.Toy):
    """Two raw optimizers, gradients clipped before each step."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.norms: list[tuple[float, float]] = []

    def configure_optimizers(self) -> Any:
        half = len(list(self.parameters())) // 2
        parameters = list(self.parameters())
        return [torch.optim.SGD(parameters[:half], 0.1), torch.optim.SGD(parameters[half:], 0.1)]

    def training_step(self, batch: Any, index: int) -> None:
        optimizers = self.optimizers(use_pl_optimizer=False)
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(self.loss(batch))
        weights = [p for p in self.parameters() if p.ndim > 1]
        gone = sum(float(w.grad[w == 0].square().sum()) for w in weights)
        whole = sum(float(w.grad.square().sum()) for w in weights)
        self.norms.append((gone, whole))
        for optimizer in optimizers:
            optimizer.step()


def test_a_module_that_clips_by_itself_sees_the_survivors_gradients() -> None:
    _, module = toy.fit([callback(toy.once("4st"))], Manual, max_epochs=1)
    assert all(gone == 0 for gone, _ in module.norms[4:])
    assert all(whole > 0 for _, whole in module.norms)


def test_layers_are_logged_at_the_recipes_steps_whatever_the_optimizers_count() -> None:
    logger = CSVLogger("logs")
    toy.fit([callback(toy.once("4st"))], Manual, max_epochs=1, logger=logger, log_every_n_steps=1)
    rows = Path(logger.log_dir, "metrics.csv").read_text().splitlines()
    names = rows[0].split(",")
    place = names.index("recipe/layer_sparsity/body.0.weight")
    found = [row.split(",") for row in rows[1:] if row.split(",")[place]]
    assert [row[names.index("step")] for row in found] == ["3"], "loggers count updates from 0"
