"""Pruning at one stroke, by a criterion that looks at calibration batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pruneflow.network import Network
from pruneflow.operations.calibrating import Held, calibrated
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.granularities import Granularity
from pruneflow.pruning.oneshot import OneShot, Task


def prune_at_once(
    network: Network,
    names: Sequence[str],
    quota: Quota,
    criterion: OneShot,
    granularity: Granularity,
    batches: int,
    modifier: str,
) -> None:
    """Prune layer by layer; a layer sees inputs from layers that are pruned already.

    Args:
        network: Whose masks change, and whose weights where the criterion gives new ones.
        names: Of the weights.
        quota: How many are to go.
        criterion: Which ones.
        granularity: What goes together.
        batches: How many to look at, if there are as many.
        modifier: The name of who asks.

    Raises:
        NonFiniteError: A weight is NaN or infinite, or what it is scored by.
        FrozenMaskError: The mask of one of the layers is frozen.
        TrainingError: There is no calibration, or the network cannot be scored on it.
    """
    network.require_finite(names)
    with calibrated(network, modifier) as calibration:
        held = Held(calibration, batches)
        masks = dict(network.state.masks)
        quota = network.remaining(quota)
        for change in criterion.prune(Task(network.model, names, quota, held, masks, granularity)):
            if change.weight is not None:
                with torch.no_grad():
                    network.weights[change.name].copy_(change.weight)
            network.install({change.name: change.pruned.logical_not()})
