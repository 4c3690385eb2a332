"""``RecipeCallback``: events fall where the plan says, whatever the trainer does."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset

from pruneflow import RecipeCallback
from pruneflow.errors import PlanError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)


class Witness(pl.Callback):
    """Notes how sparse the weights were whenever something else looked at them."""

    def __init__(self, recipe: RecipeCallback) -> None:
        self.recipe = recipe
        self.validated: dict[int, int] = {}
        self.saved: dict[int, int] = {}

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.validated[self.recipe.clock] = _zeros(pl_module)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: Any) -> None:
        self.saved[self.recipe.clock] = _zeros(pl_module)


def _recipe(tree: Any, **options: Any) -> RecipeCallback:
    return RecipeCallback(build(tree), **options)


def _zeros(module: Any) -> int:
    return sum(int(mask.sum()) for mask in toy.zeros(module).values())


def _happened(recipe: RecipeCallback) -> list[tuple[int, str, str]]:
    assert recipe.engine is not None
    return [(j["step"], j["modifier"], j["event"]) for j in recipe.engine.state.journal]


def _planned(recipe: RecipeCallback) -> list[tuple[int, str, str]]:
    assert recipe.plan is not None
    return [(e.step, e.modifier, e.action) for e in recipe.plan.events]


# -- law 1 -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tree", [toy.GRADUAL, toy.TICKETS], ids=["gradual", "tickets"])
def test_what_happens_is_what_was_planned(tree: Any) -> None:
    recipe = _recipe(tree)
    _, module = toy.fit([recipe], max_epochs=4)
    assert recipe.is_complete
    assert _happened(recipe) == _planned(recipe)
    for row, entry in zip(recipe.plan.rows, recipe.engine.state.journal, strict=True):
        assert entry["nonzeros"] == recipe.plan.size - row.zeros
    assert _zeros(module) == recipe.plan.rows[-1].zeros


def test_validation_and_checkpoints_see_the_weights_after_the_event() -> None:
    recipe = _recipe(toy.GRADUAL)
    witness = Witness(recipe)
    save = ModelCheckpoint("saved", every_n_train_steps=4, save_top_k=-1)
    toy.fit([witness, recipe, save], val_check_interval=4, max_epochs=2)
    expected = {j["step"]: recipe.plan.size - j["nonzeros"] for j in recipe.engine.state.journal}
    assert sorted(expected) == [4, 8, 12, 16, 20]
    assert expected[20] > expected[8] > 0
    assert {s: n for s, n in witness.validated.items() if s < 24} == expected
    assert {s: n for s, n in witness.saved.items() if s < 24} == expected
    for file in Path("saved").iterdir():
        content = torch.load(file, weights_only=True)
        clock = content["callbacks"]["pruneflow.recipe"]["clock"]
        weights = [w for w in content["state_dict"].values() if w.ndim == 2]
        assert sum(int((w == 0).sum()) for w in weights) == expected[min(clock, 20)]


def test_an_event_at_the_very_last_step_fires_and_is_validated() -> None:
    recipe = _recipe(toy.once("24st"))
    witness = Witness(recipe)
    _, module = toy.fit([witness, recipe], max_epochs=2)
    assert _happened(recipe) == [(24, "prune", "prune")]
    assert witness.validated == {12: 0, 24: 192}
    assert _zeros(module) == 192


def test_an_event_at_step_0_fires_before_the_first_batch() -> None:
    recipe = _recipe(toy.once("0st"))
    seen = []

    class First(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            seen.append(_zeros(pl_module))

    toy.fit([First(), recipe], max_epochs=1)
    assert seen == [192] * toy.STEPS


# -- the length of a run ---------------------------------------------------------------------

LENGTH = {**toy.once("50%"), "length": "30st"}


@pytest.mark.parametrize(
    ("limits", "total"),
    [
        ({"max_epochs": 2}, 24),
        ({"max_steps": 20, "max_epochs": -1}, 20),
        ({"max_steps": 20, "max_epochs": 2}, 20),
        ({"max_steps": 90, "max_epochs": 2}, 24),
        ({"max_steps": -1, "max_epochs": -1}, 30),
        ({"max_epochs": 2, "accumulate_grad_batches": 5}, 6),
        ({"max_epochs": 2, "limit_train_batches": 7}, 14),
        ({"max_epochs": 2, "limit_train_batches": 0.5}, 12),
    ],
    ids=str,
)
@pytest.mark.filterwarnings(toy.FEW_WORKERS)
def test_the_plan_is_as_long_as_the_run(limits: dict[str, int], total: int) -> None:
    recipe = _recipe(LENGTH)
    run, module = toy.fit([recipe], loader=toy.shuffled(), **limits)
    assert recipe.plan.total == total
    assert recipe.clock == run.global_step == len(module.rates) == total
    assert recipe.is_complete
    assert _happened(recipe) == [(total // 2, "prune", "prune")]


class Stream(IterableDataset[Any]):
    """Twelve batches that do not tell how many they are."""

    def __iter__(self) -> Any:
        return iter(zip(*toy.samples(), strict=True))


@pytest.mark.filterwarnings(toy.FEW_WORKERS)
def test_a_loader_without_length_needs_steps_per_epoch() -> None:
    loader = DataLoader(Stream(), toy.BATCH)
    with pytest.raises(PlanError, match=r"no length: pass RecipeCallback\(\.\.\., steps_per_epoch"):
        toy.fit([_recipe(toy.once("1ep"))], loader=loader, max_epochs=2)
    recipe = _recipe(toy.once("1ep"), steps_per_epoch=toy.STEPS)
    toy.fit([recipe], loader=loader, max_epochs=2)
    assert _happened(recipe) == [(12, "prune", "prune")]
    assert (recipe.clock, recipe.plan.total) == (24, 24)


def test_a_recipe_longer_than_the_run_is_refused_with_the_length_it_needs() -> None:
    with pytest.raises(PlanError, match=r"modifiers\.prune: .*it needs a length of 2ep"):
        toy.fit([_recipe(toy.GRADUAL)], max_epochs=1)


@pytest.mark.parametrize("limits", [{"max_epochs": 0}, {"max_epochs": -1, "max_steps": 0}], ids=str)
def test_a_trainer_that_does_not_train_prunes_what_is_due_at_step_0(limits: Any) -> None:
    recipe, witness = _recipe(toy.once("50%")), Batches()
    run, module = toy.fit([witness, recipe], **limits)
    assert (_zeros(module), recipe.clock, run.global_step, witness.seen) == (192, 0, 0, 0)
    assert recipe.is_complete
    assert _happened(recipe) == _planned(recipe) == [(0, "prune", "prune")]
    toy.fit(module=module, max_epochs=1)  # which is let go of: zeros may move again
    assert _zeros(module) < 192


class Batches(pl.Callback):
    """Counts them."""

    seen = 0

    def on_train_batch_start(self, *_: Any) -> None:
        self.seen += 1


# -- neighbours ------------------------------------------------------------------------------


def test_early_stopping_is_refused_where_weights_are_rewound() -> None:
    with pytest.raises(PlanError, match=r"rewinds.*remove EarlyStopping"):
        toy.fit([_recipe(toy.TICKETS), EarlyStopping("val_loss")], max_epochs=4)


def test_a_run_stopped_early_says_that_its_result_is_incomplete() -> None:
    recipe = _recipe(toy.once())
    stop = EarlyStopping("one", patience=1)  # a constant does not improve
    with pytest.warns(UserWarning, match=r"ended at step 24, .* until step 60: .*incomplete"):
        toy.fit([recipe, stop], max_epochs=5)
    assert not recipe.is_complete


@pytest.mark.parametrize("tree", [toy.GRADUAL, toy.TICKETS], ids=["gradual", "tickets"])
def test_the_best_checkpoint_has_the_final_mask(tree: Any) -> None:
    """``age`` grows: the dense network of the first epoch would be the best of all."""
    recipe = _recipe(tree)
    best = ModelCheckpoint("best", monitor="age", mode="min", save_top_k=1)
    toy.fit([best, recipe], max_epochs=5)
    content = torch.load(best.best_model_path, weights_only=True)
    masks = recipe.engine.state.masks
    assert masks
    for name, mask in masks.items():
        assert torch.equal(content["state_dict"][name] == 0, mask == 0)
    first_after = max(step for step, _, _ in _happened(recipe)) // toy.STEPS
    assert float(best.best_model_score) == first_after


def test_loggers_get_sparsity_and_rate() -> None:
    own = pytest.approx(1e-2)
    lend = {"type": "lr", "init": 0.5, "end": "10st"}
    tree = {"modifiers": {**toy.GRADUAL["modifiers"], "lr": lend}}
    recipe = _recipe(tree)
    logger = CSVLogger(".", "csv", "")
    toy.fit([recipe], logger=logger, log_every_n_steps=1, max_epochs=2)
    with (Path(logger.log_dir) / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    at = {  # Lightning numbers a batch's metrics from 0: row 3 is what update 4 left
        int(row["step"]) + 1: float(row["recipe/sparsity"])
        for row in rows
        if row["recipe/sparsity"]
    }
    for entry in recipe.engine.state.journal:
        if entry["event"] == "prune":
            assert at[entry["step"]] == pytest.approx(entry["sparsity"])
    rates = {int(row["step"]) + 1: float(row["recipe/lr"]) for row in rows if row["recipe/lr"]}
    assert rates == {**dict.fromkeys(range(1, 11), 0.5), **dict.fromkeys(range(11, 25), own)}
    for name, sparsity in recipe.engine.layer_sparsity.items():
        column = [row[f"recipe/layer_sparsity/{name}"] for row in rows]
        assert float([value for value in column if value][-1]) == pytest.approx(sparsity)


def test_lightning_pytorch_works_too() -> None:
    """The package ``lightning`` holds a copy of every class."""
    from lightning.pytorch import Trainer

    ours, theirs = _recipe(toy.TICKETS), _recipe(toy.TICKETS)
    run, module = toy.fit([ours], max_epochs=4)
    other, twin = toy.fit([theirs], module=toy.other_toy(), kind=Trainer, max_epochs=4)
    expected = toy.fingerprint(run, module, ours)
    assert toy.fingerprint(other, twin, theirs) == expected
    assert theirs.is_complete


def test_after_a_run_that_raised_the_next_one_starts_clean() -> None:
    """Also where the module keeps one optimizer for life, hooks and all."""

    class Keeper(toy.Toy):
        def configure_optimizers(self) -> Any:
            if not hasattr(self, "kept"):
                self.kept = torch.optim.SGD(self.parameters(), 1e-2)
            return self.kept

    class Break(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, b: Any, i: int) -> None:
            if i == 8:
                raise RuntimeError("broken")

    module, recipe = Keeper(), _recipe(toy.once("4st"))
    with pytest.raises(RuntimeError, match="broken"):
        toy.fit([recipe, Break()], module=module)
    toy.fit([], module=module, max_epochs=1)
    assert _zeros(module) == 0  # nobody prunes any more
    again = _recipe(toy.once("4st"))
    toy.fit([again], module=module, max_epochs=1)
    assert _zeros(module) == 192
    assert _happened(again) == [(4, "prune", "prune")]
