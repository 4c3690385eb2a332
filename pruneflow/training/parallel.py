"""How several processes train one network: each on its device, gradients averaged."""

from __future__ import annotations

import hashlib
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy

from pruneflow.operations import ranks


@dataclass(frozen=True)
class Seat:
    """A process's place among those that train a run together.

    Attributes:
        rank: Its number; 0 is the one that writes what a run leaves behind.
        on_end: Called when it is asked to end (SIGTERM); None for a process by itself.
    """

    rank: int = 0
    on_end: Callable[..., Any] | None = None

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes."""
        return self.rank == 0

    def draw_apart(self, seed: int) -> None:
        """Draw other random numbers than the processes before, e.g. for dropout, from here on."""
        if self.is_first:
            return
        own = int.from_bytes(hashlib.sha256(f"{seed} rank {self.rank}".encode()).digest()[:4])
        random.seed(own)
        np.random.seed(own)
        torch.manual_seed(own)


LONE = Seat()


class Parallel(DDPStrategy):
    """``DistributedDataParallel`` whose runs can be continued exactly, and which counts right.

    Gradients are averaged in buckets that stay as they are (``find_unused_parameters``): else they
    are arranged anew after the first batch of every start, and among more than two processes sums
    would round in another way after a resume. Evaluation goes past ``DistributedDataParallel``, so
    that processes may have different numbers of batches.

    Args:
        on_end: Called when the process is asked to end (SIGTERM).
    """

    def __init__(self, on_end: Callable[..., Any]) -> None:
        super().__init__(find_unused_parameters=True)
        self._on_end = on_end

    def setup(self, trainer: Trainer) -> None:
        """See base class; Lightning's own handler would wait for processes that are gone."""
        signal.signal(signal.SIGTERM, self._on_end)
        super().setup(trainer)

    def on_validation_start(self) -> None:
        """Every process evaluates the same network."""
        assert self.lightning_module is not None
        ranks.share_buffers(self.lightning_module)

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """See base class."""
        assert self.lightning_module is not None
        with self.precision_plugin.val_step_context():
            return self.lightning_module.validation_step(*args, **kwargs)

    def reduce(self, tensor: Any, group: Any | None = None, reduce_op: Any | None = "mean") -> Any:
        """See base class; the mean of whole numbers, e.g. of samples, need not be whole."""
        if isinstance(tensor, torch.Tensor) and not tensor.is_floating_point():
            tensor = tensor.float() if reduce_op in ("mean", "avg") else tensor
        return super().reduce(tensor, group, reduce_op)
