"""Data modules of a person's own among several processes: who reads what.

Lightning divides the samples of a ``DataLoader`` among processes, and repeats some where they do
not come out even. That is right for training; what is reported counts every sample once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

from pytorch_lightning import LightningDataModule
from pytorch_lightning.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
)

from pruneflow.errors import ConfigError
from pruneflow.training.config import RunConfig
from pruneflow.zoo.data import ImageData

_KEPT = (
    "num_workers", "collate_fn", "pin_memory", "drop_last", "timeout", "worker_init_fn",
    "multiprocessing_context", "generator", "prefetch_factor", "persistent_workers",
)  # fmt: skip


def divide(data: LightningDataModule, config: RunConfig, rank: int) -> None:
    """Let a data module of the person's own divide what it reads among a run's processes.

    Args:
        data: It; its methods are replaced.
        config: The run's.
        rank: This process's number.
    """
    if not _is_left_to_us(data, config):
        return

    def of_training(loader: Any) -> Any:
        require_divisible(loader)
        return loader

    def of_evaluation(loader: Any) -> Any:
        if isinstance(loader, list | tuple):
            return [of_evaluation(each) for each in loader]
        return _each_once(loader, rank, config.processes)

    _replace(data, "train_dataloader", of_training)
    _replace(data, "val_dataloader", of_evaluation)
    _replace(data, "test_dataloader", of_evaluation)


def training_batches(data: LightningDataModule, config: RunConfig) -> int:
    """Batches that each process trains on in an epoch, of a data module that is set up.

    Raises:
        ConfigError: Its loader cannot be divided.
        TypeError: Its loader has no length.
    """
    loader: Any = data.train_dataloader()
    if not _is_left_to_us(data, config):
        return len(loader)
    require_divisible(loader)
    if isinstance(loader.sampler, DistributedSampler):
        return len(loader)
    samples = math.ceil(len(loader.sampler) / config.processes)
    size = getattr(loader.batch_sampler, "batch_size", 1)
    drops_last = getattr(loader.batch_sampler, "drop_last", False)
    return samples // size if drops_last else math.ceil(samples / size)


def require_divisible(loader: Any) -> None:
    """Refuse a training loader of which every process would read the same samples.

    Raises:
        ConfigError: Lightning does not divide it.
    """
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        what = loader if not isinstance(loader, DataLoader) else loader.dataset
        raise ConfigError(
            f"data: the training loader's {type(what).__name__} is not divided among processes, "
            "each would train on the same samples: divide it by self.trainer.global_rank, and "
            "write +trainer.use_distributed_sampler=false to say so"
        )


def _is_left_to_us(data: LightningDataModule, config: RunConfig) -> bool:
    """Whether several processes train on data that nobody else divides."""
    by_itself = config.values["trainer"].get("use_distributed_sampler", True) is False
    return config.processes > 1 and not by_itself and not isinstance(data, ImageData)


def _replace(data: Any, name: str, change: Callable[[Any], Any]) -> None:
    made = getattr(data, name)

    @wraps(made)
    def changed() -> Any:
        return change(made())

    setattr(data, name, changed)


def _each_once(loader: Any, rank: int, processes: int) -> Any:
    """A loader of this process's share of a data set; others are left to Lightning."""
    is_plain = type(loader) is DataLoader and type(loader.batch_sampler) is BatchSampler
    if not is_plain or not isinstance(loader.sampler, SequentialSampler | RandomSampler):
        return loader
    kept: dict[str, Any] = {name: getattr(loader, name) for name in _KEPT}
    sampler = UnrepeatedDistributedSampler(loader.dataset, processes, rank, shuffle=False)
    return DataLoader(loader.dataset, loader.batch_size, sampler=sampler, **kept)
