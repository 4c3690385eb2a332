"""Batch norms: their statistics, estimated anew."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruneflow.errors import NonFiniteError, TrainingError
from pruneflow.network import Network
from pruneflow.operations.calibrating import calibrated, first
from pruneflow.pruning.oneshot.undisturbed import undisturbed


def tracking(model: nn.Module) -> dict[str, _BatchNorm]:
    """The batch norms that have running statistics."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    }


def recalibrate(network: Network, batches: int, modifier: str) -> None:
    """Replace running statistics by the plain average of those of calibration batches.

    Batch norms are in training mode meanwhile, all else in evaluation mode. Those that no batch
    reaches keep their statistics. ``num_batches_tracked`` counts the calibration batches.

    Args:
        network: Whose batch norms.
        batches: How many to look at, if there are as many.
        modifier: The name of who asks.

    Raises:
        TrainingError: There is no calibration, or no batch reaches a batch norm.
        NonFiniteError: A batch norm is given NaN or infinite values.
    """
    norms = tracking(network.model)
    found = {}
    momenta = {name: norm.momentum for name, norm in norms.items()}
    with calibrated(network, modifier) as calibration, undisturbed(network.model), torch.no_grad():
        try:
            for norm in norms.values():
                norm.reset_running_stats()
                norm.momentum = None  # the plain average
                norm.train()
            for batch in first(calibration, batches):
                calibration.forward(network.model, batch)
        finally:
            for name, norm in norms.items():
                norm.momentum = momenta[name]
        for name, norm in norms.items():
            if norm.num_batches_tracked:
                found[name] = [buffer.clone() for buffer in _statistics(norm)]
    if not found:
        raise TrainingError(
            f"modifiers.{modifier}: the network calls no batch norm with running statistics on "
            "calibration batches: remove the modifier"
        )
    for name, values in found.items():
        if not all(bool(torch.isfinite(value).all()) for value in values):
            raise NonFiniteError(
                f"batch norm '{name}' is given NaN or infinite values on calibration batches at "
                f"step {network.state.clock}"
            )
        for buffer, value in zip(_statistics(norms[name]), values, strict=True):
            buffer.copy_(value)


def _statistics(norm: _BatchNorm) -> list[torch.Tensor]:
    buffers = (norm.running_mean, norm.running_var, norm.num_batches_tracked)
    return [buffer for buffer in buffers if buffer is not None]
