"""Batches: an order and an augmentation that are functions of seed, epoch and batch alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.errors import DataError
from pruneflow.zoo.augment import Augment
from pruneflow.zoo.loader import EpochLoader

AUGMENT = Augment(shift=1, flip=True)


def loader(augment: Augment | None = None, seed: int = 5) -> EpochLoader:
    """Ten examples in batches of three."""
    images = torch.arange(10 * 12).view(10, 1, 3, 4)
    return EpochLoader(images, torch.arange(10), 3, shuffle=True, seed=seed, augment=augment)


def batches(of: EpochLoader, count: int) -> list[tuple[list[int], list[int]]]:
    """The next batches, over the ends of epochs."""
    found: list[tuple[list[int], list[int]]] = []
    while len(found) < count:
        for inputs, labels in of:
            found.append((inputs.flatten().tolist(), labels.tolist()))
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("augment", [None, AUGMENT])
@pytest.mark.parametrize("stop", range(1, 9))
def test_a_loader_goes_on_where_another_stopped(stop: int, augment: Augment | None) -> None:
    whole = batches(loader(augment), 12)
    first, second = loader(augment), loader(augment)
    begun = batches(first, stop)
    second.load_state_dict(first.state_dict())
    assert begun + batches(second, 12 - stop) == whole


@given(epoch=st.integers(0, 3), position=st.integers(0, 3))
def test_a_batch_does_not_depend_on_what_came_before(epoch: int, position: int) -> None:
    whole = batches(loader(AUGMENT), 16)
    jumped = loader(AUGMENT)
    jumped.load_state_dict({"epoch": epoch, "position": position})
    assert batches(jumped, 1) == [whole[4 * epoch + position]]


def test_augmentation_changes_no_order() -> None:
    plain, augmented = batches(loader(), 12), batches(loader(AUGMENT), 12)
    assert [labels for _, labels in plain] == [labels for _, labels in augmented]
    assert [inputs for inputs, _ in plain] != [inputs for inputs, _ in augmented]


def test_the_order_is_the_one_it_always_was() -> None:
    assert [labels for _, labels in batches(loader(seed=0), 4)] == [
        [4, 1, 7], [5, 3, 9], [0, 8, 6], [2],
    ]  # fmt: skip


def test_every_batch_epoch_and_seed_is_augmented_in_its_own_way() -> None:
    images = torch.arange(1, 13).view(1, 1, 3, 4).repeat(40, 1, 1, 1)
    made = [
        inputs
        for seed in (0, 1)
        for epoch in range(2)
        for of in [EpochLoader(images, images, 20, seed=seed, augment=AUGMENT)]
        for _ in [of.load_state_dict({"epoch": epoch, "position": 0})]
        for inputs, _ in of
    ]
    assert len(made) == 8
    assert len({tuple(inputs.flatten().tolist()) for inputs in made}) == 8


def test_a_batch_is_augmented_before_it_is_finished() -> None:
    images = torch.full((8, 1, 2, 2), 5)
    (inputs, _), *_ = EpochLoader(
        images, images, 8, augment=Augment(shift=1), finish=lambda batch: batch * 10 + 1
    )
    assert set(inputs.flatten().tolist()) == {1, 51}, "what came in is dark, and finished too"


def test_every_epoch_has_every_example_once_in_another_order() -> None:
    of = loader()
    epochs = [[n for _, labels in of for n in labels.tolist()] for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len(of) == 4


def test_an_epoch_that_was_cut_short_is_over_when_the_next_one_is_named() -> None:
    whole, cut = loader(), loader()
    epochs = [[labels.tolist() for _, labels in whole] for _ in range(2)]
    assert [labels.tolist() for _, (_, labels) in zip(range(2), cut, strict=False)] == epochs[0][:2]
    cut.set_epoch(0)  # Lightning names the epoch it goes on with, too
    assert [labels.tolist() for _, labels in cut] == epochs[0][2:]
    other = loader()
    next(iter(other))
    other.set_epoch(1)
    assert [labels.tolist() for _, labels in other] == epochs[1]


def shares(
    n: int, ranks: int, size: int, shuffle: bool, epochs: int = 1
) -> list[list[list[list[int]]]]:
    """For each process and epoch its batches of ``n`` examples, by their numbers."""
    examples = torch.arange(n)
    found = []
    for rank in range(ranks):
        of = EpochLoader(examples, examples, size, shuffle, seed=3, share=(rank, ranks))
        found.append([[labels.tolist() for _, labels in of] for _ in range(epochs)])
        assert {len(of)} == {len(epoch) for epoch in found[-1]}
    return found


SIZES = {"n": st.integers(1, 60), "ranks": st.integers(1, 5), "size": st.integers(1, 9)}


@given(**SIZES)
def test_processes_divide_what_is_evaluated_and_each_example_counts_once(
    n: int, ranks: int, size: int
) -> None:
    if n < ranks:
        with pytest.raises(DataError, match="write a smaller"):
            shares(n, ranks, size, shuffle=False)
        return
    found = [epoch for (epoch,) in shares(n, ranks, size, shuffle=False)]
    assert sorted(i for epoch in found for batch in epoch for i in batch) == list(range(n))
    assert len({len(epoch) for epoch in found}) == 1, "as many batches everywhere"
    assert all(0 < len(batch) <= size + (ranks > 1) for epoch in found for batch in epoch)


@given(**SIZES)
def test_batches_of_all_processes_are_those_of_one_with_larger_ones(
    n: int, ranks: int, size: int
) -> None:
    if n < ranks:
        return
    found = shares(n, ranks, size, shuffle=True, epochs=2)
    (alone,) = shares(n, 1, size * ranks, shuffle=True, epochs=2)
    for epoch, whole in enumerate(alone):
        together = [[found[rank][epoch][b] for rank in range(ranks)] for b in range(len(whole))]
        for parts, batch in zip(together, whole, strict=True):
            assert len({len(part) for part in parts}) == 1, "each process's counts as much"
            assert {i for part in parts for i in part} >= set(batch)
        repeated = sum(len(part) for parts in together for part in parts) - n
        assert 0 <= repeated < ranks


def test_processes_augment_in_their_own_ways_and_the_first_as_if_it_were_alone() -> None:
    images = torch.arange(1, 13).view(1, 1, 3, 4).repeat(40, 1, 1, 1)
    made = [
        next(iter(EpochLoader(images, images, 20, augment=AUGMENT, share=share)))[0].tolist()
        for share in ((0, 1), (0, 2), (1, 2))
    ]
    assert made[0] == made[1] != made[2]
