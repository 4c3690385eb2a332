"""Law 4 under Lightning: every pruned weight is +0.0 after every batch, however one trains."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import (
    EMAWeightAveraging,
    StochasticWeightAveraging,
    WeightAveraging,
)
from pytorch_lightning.plugins import MixedPrecision
from torch.optim import SGD, Adam, AdamW

from pruneflow import RecipeCallback
from pruneflow.errors import TrainingError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)


def _recipe(tree: Any = toy.GRADUAL) -> RecipeCallback:
    return RecipeCallback(build(tree))


class Guard(pl.Callback):
    """Looks for anything but +0.0 at pruned places after every batch, in weights and averages."""

    def __init__(self, recipe: RecipeCallback) -> None:
        self.recipe = recipe
        self.looked = 0
        self.seen = 0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        self.seen += 1
        self.look(pl_module)

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        self.look(pl_module)

    def look(self, module: Any) -> None:
        weights = dict(module.named_parameters())
        for name, mask in self.recipe.engine.state.masks.items():
            gone = weights[name].detach()[mask == 0]
            self.looked += gone.numel()
            assert not gone.count_nonzero(), f"{name} revived at step {self.recipe.clock}"
            assert not gone.signbit().any(), f"{name} holds -0.0 at step {self.recipe.clock}"


def _guarded(*others: Any, module: Any = toy.Toy, tree: Any = toy.GRADUAL, **options: Any) -> Any:
    recipe = _recipe(tree)
    guard = Guard(recipe)
    run, module = toy.fit([recipe, *others, guard], module=module, **options)
    assert guard.looked > 1000
    assert recipe.is_complete
    assert len(recipe.engine.state.journal) == len(recipe.plan.events)
    return run, module, recipe


class Decayed(toy.Toy):
    """Momentum and weight decay, whose memory would move pruned weights."""

    def configure_optimizers(self) -> Any:
        return SGD(self.parameters(), 0.1, momentum=0.9, weight_decay=0.01, nesterov=True)


@pytest.mark.parametrize("tree", [toy.GRADUAL, toy.TICKETS], ids=["gradual", "tickets"])
@pytest.mark.parametrize("module", [toy.Toy, Decayed])
def test_automatic_optimization(module: Any, tree: Any) -> None:
    _guarded(module=module, tree=tree, max_epochs=4)


def test_accumulated_gradients() -> None:
    """A step is an update: 12 batches of which 4 make one are 3 steps an epoch."""
    _, _, recipe = _guarded(module=Decayed, accumulate_grad_batches=4, max_epochs=8)
    assert (recipe.clock, recipe.plan.total) == (24, 24)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_precision(precision: str) -> None:
    _guarded(module=Decayed, precision=precision)


@pytest.mark.parametrize("scale", [2.0**10, 2.0**24])
@pytest.mark.filterwarnings("ignore:You passed")
def test_half_precision_with_a_gradient_scaler(scale: float) -> None:
    """Where the scale is too large the scaler skips the update; the step still counts."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    _, module, recipe = _guarded(module=toy.Toy, plugins=[plugin])
    assert recipe.clock == 36
    assert (len(module.rates) < 36) == (scale > 2.0**20)
    assert all(bool(torch.isfinite(p).all()) for p in module.parameters())


class Fused(toy.Toy):
    def configure_optimizers(self) -> Any:
        return Adam(self.parameters(), 0.01, fused=True)


@pytest.mark.filterwarnings("ignore:You passed")
def test_a_fused_optimizer_that_unscales_by_itself_is_refused_where_gradients_are_needed() -> None:
    def fit(**modifiers: Any) -> RecipeCallback:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        recipe = RecipeCallback(build({"modifiers": modifiers}))
        toy.fit([recipe], Fused, plugins=[MixedPrecision("16-mixed", "cpu", scaler)], max_epochs=1)
        return recipe

    prune = {"type": "prune", "start": "4st", "sparsity": 0.5}
    with pytest.raises(TrainingError, match="fused Adam takes gradients that are scaled still"):
        fit(prune={**prune, "criterion": "snip"})
    with pytest.raises(TrainingError, match="build the optimizer without fused=True"):
        fit(press={"type": "regularize", "kind": "l1", "strength": 0.1})
    assert fit(prune=prune).is_complete


class Manual(toy.Toy):
    """Two optimizers, stepped by hand."""

    wrapped = True

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        return (
            SGD(self.body[0].parameters(), 0.1, momentum=0.9, weight_decay=0.01),
            Adam(self.body[4].parameters(), 0.01, weight_decay=0.01),
        )

    def training_step(self, batch: Any, index: int) -> None:
        for optimizer in self.optimizers(use_pl_optimizer=self.wrapped):
            optimizer.zero_grad()
            loss = self.loss(batch)
            self.manual_backward(loss) if self.wrapped else loss.backward()
            optimizer.step()


class RawManual(Manual):
    wrapped = False


@pytest.mark.parametrize(("module", "global_step"), [(Manual, 72), (RawManual, 0)])
def test_manual_optimization_with_two_optimizers(module: Any, global_step: int) -> None:
    """Lightning's own count doubles, or stays 0; ours is one a batch."""
    run, _, recipe = _guarded(module=module)
    assert run.global_step == global_step
    assert recipe.clock == 36
    assert [j["step"] for j in recipe.engine.state.journal] == [4, 8, 12, 16, 20]


def test_manual_optimization_that_rewinds() -> None:
    _guarded(module=RawManual, tree=toy.TICKETS, max_epochs=4)


def test_clipping_measures_the_survivors() -> None:
    """Gradients are masked first, so what is left of them has just the norm asked for."""

    class Clipped(Decayed):
        revived, norms = 0, ()

        def configure_gradient_clipping(self, optimizer: Any, **options: Any) -> None:
            masks = recipe.engine.state.masks
            for name, weight in self.named_parameters():
                if name in masks:
                    self.revived += int(weight.grad[masks[name] == 0].count_nonzero())
            self.clip_gradients(optimizer, **options)
            grads = torch.cat([p.grad.reshape(-1) for p in self.parameters()])
            self.norms += (float(grads.norm()),)

    recipe = _recipe(toy.once("0st", 0.9))
    _, module = toy.fit([recipe], module=Clipped, gradient_clip_val=1e-3)
    assert module.revived == 0
    assert module.norms == pytest.approx([1e-3] * 36, rel=1e-3)


class Rebuild(pl.Callback):
    """Builds the optimizers anew, as one does after changing the network's shape."""

    def __init__(self, recipe: RecipeCallback, every: int = 5) -> None:
        self.recipe, self.every, self.old = recipe, every, []

    def on_train_batch_end(self, trainer: Any, m: Any, o: Any, b: Any, index: int) -> None:
        for optimizer in self.old:  # a new optimizer may get the address of a forgotten one
            assert not self.recipe.engine.is_guarded(optimizer)
            assert not optimizer._optimizer_step_post_hooks
        if (index + 1) % self.every == 0:
            self.old += trainer.optimizers
            trainer.strategy.setup_optimizers(trainer)


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("module", [Decayed, Manual, RawManual])
def test_optimizers_built_anew(module: Any, every: int) -> None:
    recipe = _recipe()
    guard = Guard(recipe)
    toy.fit([recipe, Rebuild(recipe, every), guard], module=module)
    assert guard.looked > 1000
    assert (recipe.clock, len(recipe.engine.state.journal)) == (36, 5)


def test_an_optimizer_built_anew_is_lent_the_rate_at_once() -> None:
    class Noting(toy.Toy):
        used: tuple[float, ...] = ()

        def configure_optimizers(self) -> Any:
            module = self

            class Noted(AdamW):
                def step(self, closure: Any = None) -> Any:
                    module.used += (self.param_groups[0]["lr"],)
                    return super().step(closure)

            return Noted(self.parameters(), 0.01)

    tree = {"modifiers": {"lr": {"type": "lr", "init": 0.5}, **toy.once()["modifiers"]}}
    recipe = _recipe(tree)
    _, module = toy.fit([recipe, Rebuild(recipe)], module=Noting)
    assert module.used == (0.5,) * 36


def test_a_deep_copy_of_the_module_is_an_ordinary_module() -> None:
    copies = []

    class Copy(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            copies.append(copy.deepcopy(pl_module))

    _, module, recipe = _guarded(Copy())
    assert copies[-1].state_dict().keys() == toy.Toy().state_dict().keys()
    Guard(recipe).look(copies[-1])
    copies[-1].body[0].weight.data.add_(1)  # and it is nobody's business any more
    SGD(copies[-1].parameters(), 0.1).step()
    assert copies[-1].body[0].weight.count_nonzero() > module.body[0].weight.count_nonzero()


class SwaByName(toy.Toy):
    """A network that is called ``module``, as wrappers call theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.module = self.body[0]
        self.body[0] = torch.nn.Identity()

    def loss(self, batch: Any) -> Any:
        return super().loss([self.module(batch[0]), batch[1]])

    def training_step(self, batch: Any, index: int) -> Any:
        return self.loss(batch)


AVERAGES = {
    "ema": lambda: EMAWeightAveraging(decay=0.9),
    "mean": lambda: WeightAveraging(),
    "swa": lambda: StochasticWeightAveraging(1e-2, swa_epoch_start=1, annealing_epochs=1),
}


@pytest.mark.parametrize("first", [True, False], ids=["average first", "recipe first"])
@pytest.mark.parametrize("kind", AVERAGES)
@pytest.mark.parametrize("module", [toy.Toy, SwaByName])
@pytest.mark.filterwarnings("ignore:Swapping scheduler")
def test_averages_hold_nothing_at_pruned_places(kind: str, first: bool, module: Any) -> None:
    """Neither while they are validated nor when they become the module in the end."""
    recipe, average = _recipe(), AVERAGES[kind]()
    guard = Guard(recipe)
    callbacks = [average, recipe] if first else [recipe, average]
    _, module = toy.fit([*callbacks, guard], module=module, max_epochs=4)
    assert recipe.is_complete
    assert recipe.plan.total == 48
    assert guard.looked > 1000
    guard.look(module)
    inner = average._average_model
    guard.look(inner if kind == "swa" else inner.module)


def test_averages_go_back_with_the_weights() -> None:
    """An average over two rounds would mix networks that never belonged together."""
    recipe, average = _recipe(toy.TICKETS), EMAWeightAveraging(decay=0.999)
    seen: dict[int, dict[str, torch.Tensor]] = {}

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            state = average._average_model.state_dict()
            seen[recipe.clock] = {name: tensor.clone() for name, tensor in state.items()}

    toy.fit([average, Watch(), recipe], max_epochs=4)
    events = recipe.engine.state.journal
    (origin,) = [event["step"] for event in events if event["event"] == "snapshot"]
    for event in events:
        if event["event"] == "rewind":
            for name, tensor in seen[event["step"]].items():
                assert torch.equal(tensor[tensor != 0], seen[origin][name][tensor != 0]), name
