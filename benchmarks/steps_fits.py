"""Whole Lightning fits in turns: plain, with ``RecipeCallback``, with Lightning's ModelPruning."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelPruning
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from benchmarks.steps_sides import NETWORKS, SETTINGS, SPARSITY, batches, made
from pruneflow import RecipeCallback
from pruneflow.pruning.scope import find_layers
from pruneflow.recipe.schema import build
from pruneflow.zoo.classifier import make_optimizer

EPOCHS = 4
STEPS = {"mlp_10m": 32, "resnet20": 24}
"""Updates in an epoch; the first of the epochs is dense, the others are masked."""

RECIPE = {
    "modifiers": {
        "prune": {"type": "prune", "sparsity": SPARSITY, "start": "1ep"},
        "freeze": {"type": "freeze_mask", "start": "prune.end"},
    }
}


class Fitted(pl.LightningModule):
    """A network with the shortest training step there is."""

    def __init__(self, model: nn.Module, optimizer: str) -> None:
        super().__init__()
        self.model, self.settings = model, SETTINGS[optimizer]

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        """See base class."""
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """See base class."""
        return make_optimizer(self.settings, self.parameters())


def _plain(module: Fitted) -> list[pl.Callback]:
    return []


def _recipe(module: Fitted) -> list[pl.Callback]:
    return [RecipeCallback(build(RECIPE))]


def _model_pruning(module: Fitted) -> list[pl.Callback]:
    names = [layer.name.rpartition(".") for layer in find_layers(module)]
    return [
        ModelPruning(
            "l1_unstructured",
            [(module.get_submodule(owner), leaf) for owner, _, leaf in names],
            amount=SPARSITY,
            apply_pruning=lambda epoch: epoch == 0,
            use_lottery_ticket_hypothesis=False,
        )
    ]


SIDES: Mapping[str, Callable[[Fitted], list[pl.Callback]]] = {
    "plain": _plain,
    "plain again": _plain,
    "RecipeCallback": _recipe,
    "ModelPruning": _model_pruning,
}


def cell(network: str, optimizer: str, turns: int, steps: int = 0) -> dict[str, Any]:
    """CPU and wall seconds of every side's fit, turn by turn; the first turn warms up.

    Args:
        network: One of ``STEPS``.
        optimizer: One of ``SETTINGS``.
        turns: How often each side is fitted.
        steps: In an epoch; by default those of ``STEPS``.
    """
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    steps = steps or STEPS[network]
    data = batches(network)
    loader = DataLoader([data[step % len(data)] for step in range(steps)], batch_size=None)
    cpu: dict[str, list[float]] = {name: [] for name in SIDES}
    wall: dict[str, list[float]] = {name: [] for name in SIDES}
    for turn in range(-1, turns):
        names = list(SIDES)
        shift = turn % len(names)
        limit = 2 if turn < 0 else 1.0
        for name in names[shift:] + names[:shift]:
            module = Fitted(made(network), optimizer)
            trainer = pl.Trainer(
                accelerator="cpu",
                max_epochs=EPOCHS,
                limit_train_batches=limit,
                callbacks=SIDES[name](module),
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            before = time.process_time(), time.perf_counter()
            trainer.fit(module, loader)
            if turn >= 0:
                cpu[name].append(time.process_time() - before[0])
                wall[name].append(time.perf_counter() - before[1])
            if name not in ("plain", "plain again"):
                _require_sparse(module)
    return {"batch": NETWORKS[network][1], "steps": steps * EPOCHS, "cpu": cpu, "wall": wall}


def _require_sparse(module: Fitted) -> None:
    """Make sure that a side has done what it is timed for."""
    weights = [module.get_parameter(layer.name) for layer in find_layers(module)]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    share = zeros / sum(weight.numel() for weight in weights)
    if abs(share - SPARSITY) > 0.001:
        raise SystemExit(f"{share:.2%} of the weights are zeros, and {SPARSITY:.0%} were asked for")
