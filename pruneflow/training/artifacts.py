"""What a run leaves behind: weights, masks, journal, result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities import rank_zero_warn

from pruneflow import runfolder, weights_file
from pruneflow.module_tensors import tensors_in
from pruneflow.pruning.masks import count_zeros
from pruneflow.training.config import RunConfig
from pruneflow.training.measure import MeasuredRecipe

PACKAGES = ("pruneflow", "torch", "pytorch-lightning", "hydra-core", "omegaconf", "numpy")


def write(
    folder: Path,
    config: RunConfig,
    recipe: MeasuredRecipe,
    module: LightningModule,
    accuracy: float | None,
    metrics: Mapping[str, float],
    seconds: float,
    taken: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a finished run's files but ``result.json``, and return what that is to hold.

    ``taken`` is what it went on from of the work of others, or empty.
    """
    assert recipe.engine is not None
    state = recipe.engine.state
    own = module.state_dict()
    weights = {name: tensor.detach().cpu() for name, tensor in tensors_in(own).items()}
    if others := sorted(own.keys() - weights):
        rank_zero_warn(
            f"{runfolder.WEIGHTS} holds tensors only, and '{others[0]}' is none: whoever opens "
            "this run has that as the module makes it"
        )
    masks = {name: mask.ne(0).to(torch.uint8).cpu() for name, mask in state.masks.items()}
    runfolder.write_bytes(folder / runfolder.WEIGHTS, weights_file.content(weights))
    runfolder.write_bytes(folder / runfolder.MASKS, weights_file.content(masks))
    runfolder.write_json_lines(folder / runfolder.JOURNAL, state.journal)
    runfolder.write_json_lines(folder / runfolder.HISTORY, recipe.history)
    layers = layer_sizes(module, masks, state.removed)
    return {
        "recipe": config.recipe.name,
        "model": _name(config.values["model"]),
        "data": _name(config.values["data"]),
        "seed": config.values["seed"],
        "control": config.recipe.control,
        "config_hash": config.digest,
        "processes": config.processes,
        "status": "complete" if recipe.is_complete else "incomplete",
        "steps": recipe.clock,
        "sparsity": recipe.engine.sparsity,
        "nonzeros": recipe.engine.nonzeros,
        "parameters": sum(layer["parameters"] for layer in layers.values()),
        "layers": layers,
        "accuracy": {**recipe.accuracy, "final": accuracy},
        "rounds": recipe.rounds,
        "metrics": dict(metrics),
        "compression": compression(layers),
        "seconds": round(seconds, 3),
        "shared": dict(taken) or None,
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
    }


def layer_sizes(
    module: LightningModule, masks: Mapping[str, torch.Tensor], removed: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """For each parameter its weights, its nonzeros, and its bytes dense and packed.

    Args:
        module: It has them.
        masks: Nonzero where a weight is kept.
        removed: Weights that were there at first and count, by parameter.
    """
    layers = {}
    for name, parameter in module.named_parameters():
        size, width = parameter.numel() + removed.get(name, 0), parameter.element_size()
        mask = masks.get(name)
        kept = parameter.numel() if mask is None else mask.numel() - count_zeros(mask)
        packed = parameter.numel() * width if mask is None else packed_bytes(mask, width)
        layers[name] = {
            "shape": list(parameter.shape),
            "parameters": size,
            "nonzeros": kept,
            "sparsity": 1 - kept / size,
            "bytes": {"dense": size * width, "packed": packed},
        }
    return layers


def packed_bytes(mask: torch.Tensor, width: int) -> int:
    """Bytes of a masked tensor with its index, in the smallest of three simple layouts.

    Dense; one bit a weight and the values kept; or an 8-bit gap before each value kept, where
    a gap of more than 255 costs a filler value.

    Args:
        mask: Nonzero where a weight is kept.
        width: Bytes of one value.
    """
    flat = mask.reshape(-1)
    places = flat.nonzero().squeeze(1)
    kept = places.numel()
    gaps = torch.diff(places, prepend=places.new_tensor([-1])) - 1
    fillers = int((gaps // 256).sum())
    bitmask = -(-flat.numel() // 8) + kept * width
    return min(flat.numel() * width, bitmask, (kept + fillers) * (width + 1))


def compression(layers: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Sparse size over dense size: by parameters, and by bytes with the index counted."""
    total = sum(layer["parameters"] for layer in layers.values())
    dense = sum(layer["bytes"]["dense"] for layer in layers.values())
    return {
        "parameters": sum(layer["nonzeros"] for layer in layers.values()) / total,
        "bytes": sum(layer["bytes"]["packed"] for layer in layers.values()) / dense,
    }


def _name(choice: Mapping[str, Any]) -> str:
    return str(choice["module"] or choice["name"])
