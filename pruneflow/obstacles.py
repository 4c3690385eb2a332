"""What stands in the way of an exact resume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytorch_lightning import Trainer

from pruneflow.lightning_trainer import callbacks
from pruneflow.namespaces import NAMESPACES, kinds


def obstacles(trainer: Trainer) -> tuple[list[str], list[str]]:
    """Why a checkpoint could not be exact: in the middle of an epoch, and at all."""
    mid_epoch, always = [], []
    if not hasattr(trainer.train_dataloader, "state_dict"):
        mid_epoch.append("the training loader cannot tell its position (no 'state_dict')")
    if any(c.reduce_on_plateau and c.interval == "step" for c in trainer.lr_scheduler_configs):
        mid_epoch.append("a scheduler that waits for a metric at every step steps after the save")
    if any("StochasticWeightAveraging" in kinds(type(callback)) for callback in callbacks(trainer)):
        mid_epoch.append("StochasticWeightAveraging averages from an epoch's beginning on")
    hook = type(trainer.lightning_module).on_train_batch_end
    if not hook.__module__.startswith(NAMESPACES):
        mid_epoch.append("the module's 'on_train_batch_end' comes after the save")
    loaders = list(_loaders(trainer.train_dataloader))
    if any(getattr(loader, "num_workers", 0) for loader in loaders):
        mid_epoch.append("worker processes read ahead")
    if any(getattr(loader, "persistent_workers", False) for loader in loaders):
        always.append("persistent workers keep random state of their own")
    if "ModelParallelStrategy" in kinds(type(trainer.strategy)):
        always.append("processes share out the weights, and each would write a part of the file")
    return mid_epoch, always


def _loaders(tree: Any) -> Iterator[Any]:
    """Each of the loaders that a training reads at once."""
    if isinstance(tree, dict | list | tuple):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from _loaders(part)
    else:
        yield tree
