"""What a pruning left, for loggers: numbers for all, histograms for those that draw them.

Known by what they can do, so that neither TensorBoard nor W&B has to be there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from pruneflow.engine import Engine
from pruneflow.namespaces import kinds
from pruneflow.pruning.shards import is_sharded

SAMPLE = 1_000_000
"""Of a larger layer so many weights are looked at, always the same ones."""

BINS = 64

Values = Mapping[str, np.ndarray]


def log(loggers: Iterable[Any], engine: Engine, step: int) -> None:
    """Log what the masks look like, once for each pruning.

    Args:
        loggers: Lightning's, of either namespace.
        engine: It has just pruned.
        step: On the loggers' axis, which counts updates from 0.
    """
    wanted = list(loggers)
    if not wanted:
        return
    units = dict(unit_nonzeros(engine))
    scalars = {f"recipe/layer_sparsity/{n}": share for n, share in engine.layer_sparsity.items()}
    scalars |= {f"recipe/dead_units/{n}": int((c == 0).sum()) for n, c in units.items()}
    for logger in wanted:
        logger.log_metrics(scalars, step=step)
    drawing = [logger for logger in wanted if _histograms(logger)]
    if drawing:
        values = {f"recipe/magnitudes/{n}": v.numpy() for n, v in magnitudes(engine)}
        values |= {f"recipe/unit_nonzeros/{n}": c.numpy() for n, c in units.items()}
        for logger in drawing:
            _histograms(logger)(logger, values, step)


def unit_nonzeros(engine: Engine) -> Iterable[tuple[str, torch.Tensor]]:
    """For each layer the weights left of every output unit (rows,); a unit with 0 is dead."""
    for name, mask in _layer_masks(engine):
        yield name, mask.reshape(mask.shape[0], -1).count_nonzero(1).cpu()


def magnitudes(engine: Engine) -> Iterable[tuple[str, torch.Tensor]]:
    """For each layer the absolute values of weights left, or of a sample of them."""
    for name, mask in _layer_masks(engine):
        weight, kept = engine.network.weights[name].detach().reshape(-1), mask.reshape(-1)
        if weight.numel() > SAMPLE:
            generator = torch.Generator().manual_seed(0)
            places = torch.randint(weight.numel(), (SAMPLE,), generator=generator)
            places = places.to(weight.device)
            weight, kept = weight[places], kept[places]
        yield name, weight[kept.ne(0)].abs().float().cpu()


def _layer_masks(engine: Engine) -> Iterable[tuple[str, torch.Tensor]]:
    """The masks of layers, without those of biases and norms, and of what processes share out."""
    names = [layer.name for layer in engine.plan.layers]
    masks = {n: mask for n, mask in engine.state.masks.items() if not is_sharded(mask)}
    return ((name, masks[name]) for name in names if name in masks)


def _histograms(logger: Any) -> Any:
    """How a logger takes histograms; None if it does not."""
    names = kinds(type(logger))
    if "TensorBoardLogger" in names:
        return _to_tensorboard
    return _to_wandb if "WandbLogger" in names else None


def _to_tensorboard(logger: Any, values: Values, step: int) -> None:
    for name, array in values.items():
        if array.size:
            logger.experiment.add_histogram(name, array, step)


def _to_wandb(logger: Any, values: Values, step: int) -> None:
    kind = sys.modules["wandb"].Histogram  # there, for the logger has loaded it
    counted = {
        name: kind(np_histogram=np.histogram(array, BINS))
        for name, array in values.items()
        if array.size
    }
    logger.log_metrics(counted, step=step)
