"""Where calibration batches come from: data that is read again without moving anybody's loader."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from pruneflow.errors import TrainingError
from pruneflow.operations.calibrating import NO_BATCHES
from pruneflow.operations.own_generators import unmoved
from pruneflow.recipe.plan import Plan
from pruneflow.zoo.loader import EpochLoader

Source = Callable[[], Iterable[Any]]
"""Makes a pass over batches; every pass the same, as long as random numbers are."""


def who_watches(plan: Plan) -> tuple[str, str]:
    """The first modifiers of a plan that need batches, and their loss; or empty strings."""
    modifiers = plan.recipe.modifiers.values()
    batches = next((m.name for m in modifiers if m.needs_batches), "")
    return batches, next((m.name for m in modifiers if m.needs_loss), "")


def given(data: Any, seed: int) -> Source:
    """A source that was handed over: batches, a loader, or a function that makes them.

    Args:
        data: Iterable again and again, or called for every pass.
        seed: Shuffles what a loader shuffles.

    Raises:
        ValueError: It can be read but once, or not at all.
    """
    if isinstance(data, DataLoader | EpochLoader):
        return again(data, seed)
    if callable(data):
        return data  # type: ignore[no-any-return]
    if not isinstance(data, Iterable) or isinstance(data, Iterator):
        raise ValueError(
            f"needs batches that can be read again, a list or a loader or a function that makes "
            f"them, not {data!r:.80}"
        )
    if hasattr(data, "load_state_dict"):
        return again(data, seed)
    return data.__iter__


def again(loader: Any, seed: int, ranks: int = 1) -> Source:
    """A source of the same samples as a loader's, of all ranks together.

    A ``DataLoader`` stays where it is: another one reads its data set, without worker
    processes. Other loaders that know their position are read from there, and put back.

    Args:
        loader: It.
        seed: Shuffles samples, as the loader's own order is not known.
        ranks: Processes that train together.

    Raises:
        ValueError: It cannot be read without moving it; the message says why.
    """
    if isinstance(loader, EpochLoader):
        return lambda: _first_epoch(loader)
    if isinstance(loader, DataLoader):
        return _reloaded(loader, seed)
    if isinstance(loader, list | tuple):
        if any(isinstance(part, DataLoader) for part in loader):
            raise ValueError("several loaders at once are no batches")
        return loader.__iter__
    if not (hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")):
        raise ValueError(
            f"a {type(loader).__name__} cannot be read without moving it (it has no 'state_dict' "
            "and 'load_state_dict')"
        )
    if ranks > 1:
        raise ValueError(f"every process has a {type(loader).__name__} with samples of its own")
    return lambda: _and_back(loader)


def first_input(batch: Any) -> torch.Tensor | None:
    """The input of a batch that is a tensor, or begins with one; else None."""
    found = batch[0] if isinstance(batch, list | tuple) and batch else batch
    return found if isinstance(found, torch.Tensor) else None


def example_of(batches: Iterable[Any]) -> torch.Tensor:
    """The input of the first batch.

    Raises:
        TrainingError: There is no batch, or its input is no tensor.
    """
    batch = next(iter(batches), None)
    if batch is None:
        raise TrainingError(NO_BATCHES)
    found = first_input(batch)
    if found is None:
        raise TrainingError(
            "calibration needs batches that are a tensor or begin with one, the network's input, "
            f"not {type(batch).__name__}"
        )
    return found


def _first_epoch(loader: EpochLoader) -> EpochLoader:
    """All of it, on every process."""
    fresh = copy.copy(loader)
    fresh.epoch = fresh.position = 0
    fresh.share = (0, 1)
    return fresh


def _and_back(loader: Any) -> Iterator[Any]:
    """What is left of an epoch and the next one."""
    state = copy.deepcopy(loader.state_dict())
    try:
        yield from loader
        yield from loader
    finally:
        loader.load_state_dict(state)


def _reloaded(loader: DataLoader[Any], seed: int) -> Source:
    data, sampler = loader.dataset, loader.sampler
    options: dict[str, Any] = {"collate_fn": loader.collate_fn, "drop_last": loader.drop_last}
    if isinstance(data, IterableDataset):
        if isinstance(data, Iterator):
            raise ValueError(f"a {type(data).__name__} can be read but once")
        return lambda: _unmoved(DataLoader(data, loader.batch_size, **options))
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not BatchSampler:
        raise ValueError(f"its {type(loader.batch_sampler).__name__} would be moved")
    if isinstance(sampler, SubsetRandomSampler):
        data = Subset(data, sampler.indices)
    elif type(sampler).__name__ == "DistributedSamplerWrapper" or not isinstance(
        sampler, RandomSampler | SequentialSampler | DistributedSampler | WeightedRandomSampler
    ):
        raise ValueError(f"its {type(sampler).__name__} would be moved")

    def reload() -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        return _unmoved(
            DataLoader(data, loader.batch_size, shuffle=True, generator=generator, **options)
        )

    return reload


def _unmoved(loader: DataLoader[Any]) -> Iterator[Any]:
    """A pass that moves no random generator of the data set's own."""
    with unmoved(loader.dataset, loader.collate_fn):
        yield from loader
