"""Looking at calibration batches in the midst of a training that must not notice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from pruneflow.errors import TrainingError
from pruneflow.network import Network
from pruneflow.operations.batches import copied
from pruneflow.pruning.oneshot.calibration import Calibration

NO_BATCHES = "there are no calibration batches: the data they are to come from is empty"


@contextmanager
def calibrated(network: Network, modifier: str) -> Iterator[Calibration]:
    """The network's calibration, for a while in which all that is random is random by itself.

    Whoever draws from Python's, NumPy's or torch's generators meanwhile, in the data or in the
    network, draws what the seed, the step and the modifier's name say; afterwards the generators
    are where they were.

    Args:
        network: What is to be watched.
        modifier: The name of who asks, for the seed and for the message.

    Raises:
        TrainingError: The network has no calibration.
    """
    if network.calibration is None:
        raise TrainingError(
            f"modifiers.{modifier}: needs calibration batches, and there are none: set the "
            "engine's network.calibration"
        )
    seed = network.generator(f"{modifier}/calibration").initial_seed()
    devices = {w.device.index for w in network.weights.values() if w.device.type == "cuda"}
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(sorted(devices)):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        for device in devices:
            torch.cuda.default_generators[device].manual_seed(seed)
        try:
            yield network.calibration
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def first(calibration: Calibration, count: int) -> Iterator[Any]:
    """The first batches, or as many as there are; then the data is let go.

    Raises:
        TrainingError: There are none.
    """
    batches, is_empty = calibration.batches(), True
    try:
        for batch in islice(batches, count):
            is_empty = False
            yield batch
        if is_empty:
            raise TrainingError(NO_BATCHES)
    finally:
        if hasattr(batches, "close"):
            batches.close()


class Held:
    """A calibration of few batches, read once and held in memory.

    Args:
        calibration: Where they come from.
        count: How many to hold, if there are as many.
    """

    def __init__(self, calibration: Calibration, count: int) -> None:
        self._calibration = calibration
        self._count = count

    @property
    def example(self) -> torch.Tensor:
        """See ``Calibration``."""
        return self._calibration.example

    def batches(self) -> Iterator[Any]:
        """See ``Calibration``."""
        return map(copied, self._batches)

    def forward(self, model: nn.Module, batch: Any) -> Any:
        """See ``Calibration``."""
        return self._calibration.forward(model, batch)

    def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
        """See ``Calibration``."""
        return self._calibration.loss(model, batch)

    @cached_property
    def _batches(self) -> list[Any]:
        return list(first(self._calibration, self._count))
