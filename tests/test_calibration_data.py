"""Data is read again without being moved, each pass alike; where it cannot be, it is refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from pruneflow.calibration_data import again, example_of, first_input, given
from pruneflow.errors import TrainingError
from pruneflow.zoo.augment import Augment
from pruneflow.zoo.loader import EpochLoader
from tests.lightning_side import toy
from tests.loop import bits

NUMBERS = torch.arange(20.0).view(10, 2)


class Stream(IterableDataset[torch.Tensor]):
    """Samples one after the other."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(NUMBERS)


class Augmenting(Dataset[torch.Tensor]):
    """Random by generators of its own, in attributes and inside its transforms."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(1)
        self.numpy = [np.random.default_rng(2), np.random.RandomState(3)]
        self.jitter = random.Random(4).random
        self.system = random.SystemRandom()
        self.itself = self

    def __len__(self) -> int:
        return len(NUMBERS)

    def __getitem__(self, index: int) -> torch.Tensor:
        noise = sum(generator.normal() for generator in self.numpy) + self.jitter()
        return NUMBERS[index] + torch.rand(2, generator=self.generator) + noise


def epochs() -> EpochLoader:
    images = torch.rand(10, 1, 4, 4)
    return EpochLoader(images, torch.arange(10), 4, shuffle=True, seed=3, augment=Augment(shift=1))


def test_every_process_calibrates_on_the_samples_of_all() -> None:
    alone, (images, labels) = epochs(), (epochs().inputs, epochs().labels)
    found = []
    for rank in range(2):
        shared = EpochLoader(images, labels, 4, shuffle=True, seed=3, share=(rank, 2))
        next(iter(shared))
        found.append([numbers.tolist() for _, numbers in again(shared, 0, 2)()])
        assert (shared.share, shared.position) == ((rank, 2), 1)
    assert found == [[numbers.tolist() for _, numbers in alone]] * 2


def loader(data: Dataset[Any] | None = None, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(NUMBERS) if data is None else data, **options)


LOADERS: dict[str, Callable[[], Any]] = {
    "shuffled": lambda: loader(batch_size=3, shuffle=True),
    "own generator": lambda: loader(shuffle=True, generator=torch.Generator().manual_seed(5)),
    "in order": lambda: loader(batch_size=4, drop_last=True),
    "single samples": lambda: loader(batch_size=None, sampler=SequentialSampler(NUMBERS)),
    "weighted": lambda: loader(sampler=WeightedRandomSampler([1.0] * 10, 10)),
    "stream": lambda: loader(Stream(), batch_size=4),
    "random by itself": lambda: loader(Augmenting(), batch_size=4),
    "of the zoo": epochs,
    "that knows its position": toy.Batches,
}

each_loader = pytest.mark.parametrize("make", LOADERS.values(), ids=LOADERS)


def passed(source: Callable[[], Any], count: int = 99) -> Any:
    """A pass, broken off after some batches, under the same random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return bits([batch for batch, _ in zip(source(), range(count), strict=False)])


@each_loader
@pytest.mark.parametrize("at", [0, 1, 2])
def test_whoever_reads_the_loader_does_not_notice(make: Callable[[], Any], at: int) -> None:
    def rest(calibrates: bool) -> Any:
        torch.manual_seed(0)
        data = make()
        batches = iter(data)
        for _ in range(at):
            next(batches)
        if calibrates:
            source = again(data, seed=7)
            assert passed(source, 2) == passed(source, 2)
        return bits([list(batches), list(data), torch.get_rng_state()])

    assert rest(calibrates=True) == rest(calibrates=False)


@each_loader
def test_every_pass_is_the_same(make: Callable[[], Any]) -> None:
    source = again(make(), seed=7)
    assert passed(source) == passed(source)
    assert passed(source)[:2] == passed(source, 2)


@pytest.mark.parametrize("name", ["shuffled", "own generator", "single samples", "weighted"])
def test_the_seed_shuffles_all_samples(name: str) -> None:
    def rows(seed: int) -> torch.Tensor:
        batches = [batch[0] for batch in again(LOADERS[name](), seed)()]
        return torch.cat([batch.view(-1, 2) for batch in batches])

    assert not torch.equal(rows(1), rows(2))
    assert torch.equal(rows(1).sort(0).values, NUMBERS)


def test_workers_are_not_started_and_batches_are_of_the_loaders_size() -> None:
    batches = list(again(loader(batch_size=3, num_workers=2, drop_last=True), seed=0)())
    assert [len(batch[0]) for batch in batches] == [3, 3, 3]


def test_samples_that_the_loader_leaves_out_stay_out() -> None:
    chosen = SubsetRandomSampler([1, 4, 7])
    found = torch.cat([batch[0] for batch in again(loader(sampler=chosen), seed=0)()])
    assert torch.equal(found.sort(0).values, NUMBERS[[1, 4, 7]])


class OwnSampler(Sampler[int]):
    """In an order of its own."""

    def __iter__(self) -> Iterator[int]:
        return iter(range(10))


class Ends(IterableDataset[torch.Tensor]):
    """Can be read but once."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        return self

    def __next__(self) -> torch.Tensor:
        raise StopIteration


class Own:
    """Batches that do not know their position."""

    def __iter__(self) -> Iterator[Any]:
        return iter([[NUMBERS]])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (loader(sampler=OwnSampler()), "its OwnSampler would be moved"),
        (loader(Ends()), "a Ends can be read but once"),
        (Own(), "a Own cannot be read without moving it"),
        ([loader(), loader()], "several loaders at once"),
        (
            loader(batch_sampler=type("Own", (BatchSampler,), {})(OwnSampler(), 2, False)),
            "its Own would be moved",
        ),
    ],
)
def test_what_would_be_moved_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        again(data, seed=0)


def test_every_process_reads_the_same_samples() -> None:
    ranks = [DistributedSampler(NUMBERS, 2, rank) for rank in (0, 1)]  # type: ignore[arg-type]
    one, other = (passed(again(loader(sampler=rank), seed=4, ranks=2)) for rank in ranks)
    assert one == other
    assert len(one) == len(NUMBERS)


def test_positions_of_several_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="every process has a Batches with samples of its own"):
        again(toy.Batches(), seed=0, ranks=2)


@pytest.mark.parametrize(
    "data",
    [
        [[NUMBERS], [NUMBERS + 1]],
        lambda: iter([[NUMBERS], [NUMBERS + 1]]),
        loader(batch_size=5),
        Own(),
        toy.Batches(),
    ],
)
def test_what_was_handed_over_can_be_read_again(data: Any) -> None:
    source = given(data, seed=0)
    assert passed(source) == passed(source) != []


@pytest.mark.parametrize("data", [iter([[NUMBERS]]), 3])
def test_what_can_be_read_but_once_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="needs batches that can be read again"):
        given(data, seed=0)


def test_data_that_is_empty_is_told() -> None:
    with pytest.raises(TrainingError, match="there are no calibration batches"):
        example_of([])


def test_the_input_is_what_a_batch_begins_with() -> None:
    assert first_input([NUMBERS, 3]) is NUMBERS
    assert first_input(NUMBERS) is NUMBERS
    assert first_input({"x": NUMBERS}) is None
    assert first_input([]) is None
    assert example_of([(NUMBERS, 1), (NUMBERS + 1, 2)]) is NUMBERS
    with pytest.raises(TrainingError, match="begin with one, the network's input"):
        example_of([{"x": NUMBERS}])
