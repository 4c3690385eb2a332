"""A person's own loaders among processes: what is reported on counts every sample once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from pruneflow.errors import ConfigError
from pruneflow.training.divided import divide, training_batches


class Data(LightningDataModule):
    """So many samples, in a loader for each purpose."""

    def __init__(self, n: int, size: int = 3, **more: Any) -> None:
        super().__init__()
        self.set = TensorDataset(torch.arange(n))
        self.size, self.more = size, more

    def train_dataloader(self) -> Any:
        return DataLoader(self.set, self.size, shuffle=True, **self.more)

    def val_dataloader(self) -> Any:
        return [DataLoader(self.set, self.size), DataLoader(self.set, 2, shuffle=True)]

    def test_dataloader(self) -> Any:
        return DataLoader(self.set, self.size, drop_last=False)


def config(processes: int, **trainer: Any) -> Any:
    return SimpleNamespace(processes=processes, values={"trainer": trainer})


def samples(loader: Any) -> list[int]:
    return [i for (batch,) in loader for i in batch.tolist()]


@given(processes=st.integers(2, 4), more=st.integers(0, 20))
def test_all_processes_together_see_every_sample_once(processes: int, more: int) -> None:
    seen: list[list[int]] = [[], [], []]
    for rank in range(processes):
        data = Data(processes + more)
        divide(data, config(processes), rank)
        for place, loader in zip(
            seen, [data.test_dataloader(), *data.val_dataloader()], strict=True
        ):
            place += samples(loader)
    assert [sorted(each) for each in seen] == [list(range(processes + more))] * 3


@given(
    n=st.integers(1, 40), size=st.integers(1, 9), processes=st.integers(1, 4), drops=st.booleans()
)
def test_batches_of_training_are_counted_as_lightning_divides_them(
    n: int, size: int, processes: int, drops: bool
) -> None:
    from torch.utils.data import DistributedSampler

    data = Data(n, size, drop_last=drops)
    sampler = DistributedSampler(data.set, processes, 0)
    expected = len(DataLoader(data.set, size, sampler=sampler, drop_last=drops))
    assert training_batches(data, config(processes)) == expected


class Endless(IterableDataset[int]):
    """Numbers, the same on every process."""

    def __iter__(self) -> Any:
        yield from range(7)


@pytest.mark.parametrize(
    ("loader", "named"), [([1, 2, 3], "list"), (DataLoader(Endless()), "Endless")]
)
def test_what_lightning_does_not_divide_is_refused_unless_the_person_does(
    loader: Any, named: str
) -> None:
    data = Data(7)
    data.train_dataloader = lambda: loader  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match=f"loader's {named} is not divided among processes"):
        training_batches(data, config(2))
    assert named == "Endless" or training_batches(data, config(1)) == 3
    assert named == "Endless" or training_batches(
        data, config(2, use_distributed_sampler=False)
    ) == 3  # fmt: skip
    divide(data, config(2), 1)
    with pytest.raises(ConfigError, match="is not divided"):
        data.train_dataloader()


def test_alone_nothing_is_divided() -> None:
    data = Data(7)
    before = data.test_dataloader
    divide(data, config(1), 0)
    assert data.test_dataloader == before
