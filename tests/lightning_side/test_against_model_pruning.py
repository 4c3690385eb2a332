"""Lightning's own ``ModelPruning`` beside ``RecipeCallback``, on the same schedule.

The assertions about Lightning are its faults in 2.6. Where one of them fails, Lightning has
mended the fault: drop that half of the test, and the claim wherever we make it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, ModelPruning

from pruneflow import ExactCheckpoint, RecipeCallback
from pruneflow.checkpoint import newest_checkpoint
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

MENDED = "Lightning's ModelPruning does this right now: drop this half of the test and the claim"

ROUNDS = {
    "modifiers": {"imp": {"type": "iterative_prune", "rounds": 3, "every": "1ep", "fraction": 0.5}}
}
"""Prunes half of the remaining weights at the ends of epochs 1 to 3, and rewinds to the start."""


def _lightning(module: toy.Toy, epochs: tuple[int, ...], tickets: bool) -> ModelPruning:
    """Half of the remaining weights of both layers at the ends of the given epochs."""
    layers = [(module.body[0], "weight"), (module.body[4], "weight")]
    return ModelPruning(
        "l1_unstructured",
        layers,
        amount=0.5,
        apply_pruning=lambda epoch: epoch in epochs,
        use_lottery_ticket_hypothesis=tickets,
    )


def _module() -> toy.Toy:
    pl.seed_everything(1, verbose=False)
    return toy.Toy()


def _zeros(module: Any) -> int:
    return sum(int(mask.sum()) for mask in toy.zeros(module).values())


def _trained(module: Any) -> bool:
    """Whether an update has moved the weights that are left away from the first ones."""
    first, now = _module().body[0].weight, module.body[0].weight
    return not torch.equal(now, first * (now != 0))


class Starts(pl.Callback):
    """Notes the first layer's weights as each epoch begins."""

    def __init__(self) -> None:
        self.weights: list[torch.Tensor] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        layer = pl_module.body[0]
        if hasattr(layer, "weight_orig"):  # PyTorch's reparametrization; 'weight' is stale here
            weight = layer.weight_orig * layer.weight_mask
        else:
            weight = layer.weight
        self.weights.append(weight.detach().clone())

    def rewound(self) -> list[bool]:
        """For each epoch after the first: do survivors have their very first values?"""
        first, *later = self.weights
        return [torch.equal(now, first * (now != 0)) for now in later]


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_masks_survive_a_resume() -> None:
    """Pruned to one half in epoch 1, interrupted after epoch 2, trained on until epoch 4."""
    module, save = _module(), ModelCheckpoint("lightning", save_last=True)
    toy.fit([_lightning(module, (0,), False), save], module, max_epochs=2)
    assert _zeros(module) == 192
    last, module = save.last_model_path, _module()
    callbacks = [_lightning(module, (0,), False), ModelCheckpoint("lightning", save_last=True)]
    toy.fit(callbacks, module, resume=last, max_epochs=4)
    assert _zeros(module) < 10, MENDED  # it trains the pruned weights again, without a word

    recipe = RecipeCallback(build(toy.once("1ep")))
    toy.fit([recipe, ExactCheckpoint(Path("ours"))], max_epochs=4)
    (Path("ours") / "step00000048.ckpt").unlink()
    assert newest_checkpoint(Path("ours")).name == "step00000036.ckpt"
    again = RecipeCallback(build(toy.once("1ep")))
    callbacks = [again, ExactCheckpoint(Path("ours"))]
    _, module = toy.fit(callbacks, resume="ours/step00000036.ckpt", max_epochs=4)
    assert _zeros(module) == 192
    assert again.engine.state.journal == recipe.engine.state.journal


def test_every_round_is_rewound() -> None:
    """Its first rewind is right; from then on training writes into the snapshot itself."""
    module, starts = _module(), Starts()
    pruning = _lightning(module, (0, 1, 2), True)
    toy.fit([starts, pruning], module, max_epochs=4)
    assert starts.rewound() == [True, False, False], MENDED
    kept = pruning._original_layers[id(module.body[0])]["data"].weight
    assert not torch.equal(kept, _module().body[0].weight), MENDED  # its "initial" weights

    recipe, starts = RecipeCallback(build(ROUNDS)), Starts()
    _, module = toy.fit([starts, recipe], _module(), max_epochs=4)
    assert starts.rewound() == [True, True, True]
    kept = recipe.engine.state.snapshots["imp"]["tensors"]["body.0.weight"]
    assert torch.equal(kept, _module().body[0].weight)


def test_a_run_ends_with_a_trained_ticket() -> None:
    """It prunes and rewinds at the end of every epoch, the last one too: its defaults."""
    module = _module()
    toy.fit([_lightning(module, (0,), True)], module, max_epochs=1)
    assert not _trained(module), MENDED
    assert _zeros(module) == 192

    recipe = RecipeCallback(build(ROUNDS))
    _, module = toy.fit([recipe], _module(), max_epochs=4)
    assert recipe.is_complete
    assert _trained(module)
    assert _zeros(module) == 336  # 320 and 64 weights halved three times: 280 and 56 are gone
