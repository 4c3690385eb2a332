"""What keeps pruned weights at +0.0: nothing where nothing can have moved, and it where it can."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import optim

import pruneflow
from pruneflow import RecipeCallback, keeping
from pruneflow.recipe.schema import build
from tests.lightning_side import toy
from tests.loop import OPTIMIZERS, Loop, resumed_anywhere, revived, small_net

FROZEN = {
    "prune": {"type": "prune", "sparsity": 0.7, "start": "1st"},
    "freeze": {"type": "freeze_mask", "start": "prune.end"},
}
GRADUAL = {"prune": {**FROZEN["prune"], "start": "2st", "end": "10st", "every": "4st"}}


@pytest.fixture
def put_back(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every time that all weights are put back after an update."""
    done: list[int] = []
    genuine = keeping.put_back

    def counted(weights: Any, masks: Any) -> None:
        done.append(len(weights))
        genuine(weights, masks)

    monkeypatch.setattr(keeping, "put_back", counted)
    return done


@pytest.mark.parametrize("name", ["sgd, momentum", "adam", "adamw"])
def test_where_nothing_can_have_moved_nothing_is_put_back(name: str, put_back: list[int]) -> None:
    loop = Loop(FROZEN, total=20, optimizer=lambda model: OPTIMIZERS[name](model.parameters()))
    loop.run(until=3)
    put_back.clear()
    loop.run()
    assert not put_back
    assert not revived(loop)


def test_an_optimizer_that_mixes_weights_has_them_put_back(put_back: list[int]) -> None:
    loop = Loop(FROZEN, total=8, optimizer=lambda model: optim.Adafactor(model.parameters()))
    loop.run(until=3)
    put_back.clear()
    loop.run()
    assert len(put_back) == 5


def _noise(parameters: Any) -> None:
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.data.add_(torch.randn_like(parameter))


@pytest.mark.parametrize("meddle", ["gradients", "weights", "other weights"])
def test_whoever_meddles_revives_nothing(meddle: str) -> None:
    loop = Loop(FROZEN, total=12)
    if meddle == "gradients":
        loop.optimizers[0].register_step_pre_hook(lambda *_: _noise(loop.model.parameters()))
    while loop.clock < 12:
        if meddle != "gradients":
            with torch.no_grad():
                for weight in loop.model.parameters():
                    new = torch.randn_like(weight)
                    if meddle == "weights":
                        weight.copy_(new)
                    else:
                        weight.data = new
        loop.step()
        assert not revived(loop), f"step {loop.clock}"


def trained_by(name: str, modifiers: dict[str, Any]) -> Loop:
    return Loop(
        modifiers,
        total=24,
        net=lambda: small_net(bias=name != "muon"),  # which takes matrices alone
        optimizer=lambda model: OPTIMIZERS[name](model.parameters()),
        closure=name == "lbfgs",
    )


def _overwrite(loop: Loop) -> None:
    with torch.no_grad():
        for weight in loop.model.parameters():
            weight.copy_(torch.randn_like(weight))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_overwriting_leaves_nothing_that_revives(name: str) -> None:
    """Weight decay has told the optimizer's memory of it by then."""
    loop = trained_by(name, FROZEN).run(until=6)
    _overwrite(loop)
    while loop.clock < 24:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"lbfgs"}))
def test_an_optimizer_that_goes_back_to_a_dense_past_revives_nothing(name: str) -> None:
    late = {**FROZEN, "prune": {**FROZEN["prune"], "start": "4st"}}
    loop = trained_by(name, late).run(until=3)
    before = copy.deepcopy(loop.optimizers[0].state_dict())
    loop.run(until=10)
    loop.optimizers[0].load_state_dict(before)
    while loop.clock < 24:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"


@pytest.mark.parametrize("layers", [["fc1"], ["fc2"], ["fc1", "fc2"]])
def test_each_of_two_optimizers_puts_its_own_weights_back(layers: list[str]) -> None:
    loop = Loop(
        FROZEN,
        total=24,
        optimizer=lambda model: [
            optim.SGD(model.fc1.parameters(), 0.1),
            optim.SGD([*model.fc2.parameters(), *model.output.parameters()], 0.1),
        ],
    )
    loop.run(until=6)
    for name in layers:
        torch.nn.init.normal_(loop.model.get_parameter(f"{name}.weight"))
    while loop.clock < 24:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"


@pytest.mark.parametrize("name", ["sgd", "sgd, momentum", "adam", "adamw"])
def test_what_torch_does_not_count_is_undone_in_its_turn_for_good(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY", 4)
    loop = Loop(FROZEN, total=40, optimizer=lambda model: OPTIMIZERS[name](model.parameters()))
    loop.run(until=6)
    for weight in loop.model.parameters():
        weight.data.add_(1.0)
    loop.run(until=10)
    while loop.clock < 39:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"


def test_what_torch_does_not_count_is_undone_at_the_end() -> None:
    loop = Loop(FROZEN, total=12, optimizer=lambda model: optim.SGD(model.parameters(), 0.1))
    loop.run(until=11)
    for weight in loop.model.parameters():
        weight.data.add_(1.0)
    assert revived(loop)
    assert not revived(loop.run())


def test_what_torch_does_not_count_is_undone_beyond_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "EVERY", 4)
    model = small_net()
    optimizer = optim.SGD(model.parameters(), 0.1, momentum=0.9)
    pruning = pruneflow.prune(
        model, build({"modifiers": FROZEN}), optimizer=optimizer, steps_per_epoch=100, steps=6
    )
    for step in range(16):
        if step == 10:
            for weight in model.parameters():
                weight.data.add_(1.0)
        optimizer.zero_grad()
        model(torch.randn(4, 6)).square().mean().backward()
        optimizer.step()
        pruning.step()
    masks = pruning.engine.state.masks
    assert not any(bool(model.get_parameter(name)[masks[name] == 0].any()) for name in masks)


class Meddler(pl.Callback):
    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        _noise(pl_module.parameters())


class Clipping(toy.Toy):
    def configure_gradient_clipping(self, *_: Any, **options: Any) -> None:
        _noise(self.parameters())


class Hooked(toy.Toy):
    def on_before_optimizer_step(self, optimizer: Any) -> None:
        _noise(self.parameters())


class Stepping(toy.Toy):
    def optimizer_step(self, epoch: Any, batch: Any, optimizer: Any, closure: Any) -> None:
        optimizer.step(lambda: (closure(), _noise(self.parameters()))[0])


class Watch(pl.Callback):
    def __init__(self, recipe: RecipeCallback) -> None:
        self.recipe, self.revived, self.marks = recipe, 0, 0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        for name, mask in self.recipe.engine.state.masks.items():  # type: ignore[union-attr]
            gone = pl_module.get_parameter(name)[mask == 0]
            self.revived += int(gone.count_nonzero()) + int(gone.signbit().sum())
            self.marks += len(gone)


@pytest.mark.parametrize("where", [toy.Toy, Meddler, Clipping, Hooked, Stepping])
@pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)
def test_whoever_meddles_under_lightning_revives_nothing(where: Any, put_back: list[int]) -> None:
    recipe = RecipeCallback(build({"modifiers": FROZEN}))
    watch = Watch(recipe)
    others = [where()] if where is Meddler else []
    module = toy.Toy if where is Meddler else where
    toy.fit([recipe, *others, watch], module=module, max_epochs=1, gradient_clip_val=0.1)
    assert watch.marks > 100
    assert not watch.revived
    alone = where is toy.Toy
    assert (len(put_back) < 4) == alone


@pytest.mark.parametrize("name", ["adam", "adam, amsgrad", "adamw", "adamw, fused"])
def test_what_fills_second_moments_changes_no_weight(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> Loop:
        tree = {**GRADUAL, "it": {"type": "freeze_mask", "start": "prune.end"}}
        return Loop(tree, total=20, optimizer=lambda m: OPTIMIZERS[name](m.parameters())).run()

    monkeypatch.setattr(keeping, "EVERY", 4)
    filled = run()
    monkeypatch.setattr(keeping, "fill_second_moments", lambda *_: None)
    plain = run()
    for (key, weight), other in zip(filled.weights.items(), plain.weights.values(), strict=True):
        assert torch.equal(weight, other)
        if key in filled.masks:
            gone = ~filled.masks[key]
            memory, former = (
                loop.optimizers[0].state[loop.model.get_parameter(key)]["exp_avg_sq"]
                for loop in (filled, plain)
            )
            assert bool((memory[gone] > 0.9).all())
            assert not bool(former[gone].any())
            assert torch.equal(memory[~gone], former[~gone])


@pytest.mark.parametrize("name", ["adam", "adam, amsgrad", "adamw"])
def test_a_resume_is_exact_down_to_what_is_filled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY", 4)
    resumed_anywhere(
        lambda saved: Loop(
            GRADUAL,
            total=14,
            optimizer=lambda model: OPTIMIZERS[name](model.parameters()),
            saved=saved,
        )
    )


def test_weights_that_grow_back_begin_with_an_empty_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "EVERY", 1)
    tree = {"it": {"type": "dynamic_sparse", "sparsity": 0.6, "every": "2st", "end": "9st"}}
    loop = Loop(tree, total=12, optimizer=lambda model: optim.Adam(model.parameters(), 0.01))
    grown = 0
    while loop.clock < 12:
        before = loop.masks
        loop.step()
        for name, mask in loop.masks.items():
            new = mask & ~before[name]
            memory = loop.optimizers[0].state[loop.model.get_parameter(name)]
            assert not bool(memory["exp_avg_sq"][new].any())
            grown += int(new.sum())
    assert grown
