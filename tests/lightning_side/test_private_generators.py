"""Law 6 for random generators that a training holds for itself: kept, or told."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset

from pruneflow.errors import ResumeError
from tests.lightning_side import toy
from tests.lightning_side.killing import BEFORE, require_exact, run

pytestmark = [
    pytest.mark.filterwarnings(toy.LIGHTNING_NOISE),
    pytest.mark.filterwarnings(toy.FEW_WORKERS),
]

KILLS = [(9, BEFORE), (24, BEFORE), (39, BEFORE)]


class Noisy(Dataset[Any]):
    """Adds noise that a function draws."""

    def __init__(self, draw: Callable[[], Any]) -> None:
        self.x, self.y = toy.samples()
        self.draw = draw

    def __len__(self) -> int:
        return toy.SAMPLES

    def __getitem__(self, index: int) -> Any:
        return self.x[index] + float(self.draw()), self.y[index]


def _seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _closure() -> Callable[[], float]:
    rng = random.Random(3)
    return lambda: rng.gauss(0, 1)


DRAWS: dict[str, Callable[[], Callable[[], Any]]] = {
    "torch": lambda: partial(torch.rand, (), generator=_seeded()),
    "numpy": lambda: np.random.default_rng(0).normal,
    "numpy's twister": lambda: np.random.Generator(np.random.MT19937(0)).normal,
    "numpy's philox": lambda: np.random.Generator(np.random.Philox(0)).normal,
    "numpy, of old": lambda: np.random.RandomState(0).normal,
    "python": lambda: random.Random(0).random,
    "python, in a closure": _closure,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_of_a_data_set(draw: Callable[[], Callable[[], Any]]) -> None:
    require_exact(KILLS, loader=lambda: DataLoader(Noisy(draw()), toy.BATCH, shuffle=True))


class OfItsClass(Noisy):
    """Its generator is every instance's."""

    rng: Any = None

    def __getitem__(self, index: int) -> Any:
        return self.x[index] + float(self.rng.normal()), self.y[index]


RNG: Any = None


def _draw() -> float:
    return float(RNG.normal())


def _of_a_class() -> Any:
    OfItsClass.rng = np.random.default_rng(0)
    return OfItsClass(list)


def _of_a_file() -> Any:
    globals()["RNG"] = np.random.default_rng(0)
    return Noisy(_draw)


@pytest.mark.parametrize("data", [_of_a_class, _of_a_file])
def test_of_a_class_and_of_a_file(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "RNG", None)  # and so afterwards
    require_exact(KILLS, loader=lambda: DataLoader(data(), toy.BATCH, shuffle=True))


class Pair(toy.Toy):
    """Learns from two loaders at once."""

    def training_step(self, batch: Any, index: int) -> Any:
        first, second = batch.values() if isinstance(batch, dict) else batch
        return super().training_step(first, index) + self.loss(second)


def _batch_sampled() -> Any:
    data = TensorDataset(*toy.samples())
    sampler = RandomSampler(data, generator=_seeded())
    return DataLoader(data, batch_sampler=BatchSampler(sampler, toy.BATCH, drop_last=False))


def _two() -> Any:
    return [toy.shuffled(generator=_seeded(seed)) for seed in (5, 6)]


LOADERS: dict[str, tuple[Callable[[], Any], Any]] = {
    "batch sampler": (_batch_sampled, toy.Toy),
    "list of loaders": (_two, Pair),
    "dictionary of loaders": (lambda: dict(zip("ab", _two(), strict=True)), Pair),
}


@pytest.mark.parametrize(("loader", "module"), LOADERS.values(), ids=LOADERS)
def test_of_loaders(loader: Callable[[], Any], module: Any) -> None:
    require_exact(KILLS, loader=loader, module=module)


class Mixed(toy.Toy):
    """Draws its own chance inside a step."""

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        self.rng = np.random.default_rng(3)

    def training_step(self, batch: Any, index: int) -> Any:
        part = float(self.rng.beta(0.4, 0.4))
        return super().training_step([part * batch[0], batch[1]], index)


class Noise(pl.Callback):
    """Draws for every batch."""

    def __init__(self, seed: int) -> None:
        self.generator = _seeded(seed)

    def on_train_batch_start(self, trainer: Any, m: Any, batch: Any, index: int) -> None:
        batch[0] = batch[0] + 0.1 * torch.randn(batch[0].shape, generator=self.generator)


@pytest.mark.parametrize("every", [0, 1])
def test_of_the_module_and_of_two_callbacks(every: int) -> None:
    require_exact(KILLS, module=Mixed, others=lambda: [Noise(3), Noise(4)], every=every)


class Late(toy.Toy):
    """Makes its generator when it is first used."""

    rng: Any = None

    def training_step(self, batch: Any, index: int) -> Any:
        self.rng = self.rng or np.random.default_rng(0)
        return super().training_step([batch[0] * self.rng.random(), batch[1]], index)


def test_one_that_is_made_too_late_is_told_once_in_every_life() -> None:
    for kill in ((18, BEFORE), None):
        with pytest.warns(UserWarning, match=r"exact: module\.rng came to be while") as told:
            run(Path("one"), kill, module=Late, max_epochs=4)
        assert sum("came to be" in str(each.message) for each in told) == 1


def _own() -> Any:
    return toy.shuffled(generator=_seeded())


def _numpy() -> Any:
    return DataLoader(Noisy(np.random.default_rng(0).normal), toy.BATCH)


def _python() -> Any:
    return DataLoader(Noisy(random.Random(0).random), toy.BATCH)


@pytest.mark.parametrize(
    ("first", "then", "why"),
    [
        (toy.shuffled, _own, r"train_dataloader\.sampler\.generator is new"),
        (_own, toy.shuffled, r"train_dataloader\.sampler\.generator is missing"),
        (_numpy, _python, r"train_dataloader\.dataset\.draw\.__self__ is not the generator"),
        (toy.Batches, toy.shuffled, "that tells its position, which this DataLoader is not"),
        (toy.shuffled, toy.Batches, "that does not tell its position, which this Batches is not"),
    ],
)
def test_other_loaders_are_refused(first: Any, then: Any, why: str) -> None:
    run(Path("one"), (18, BEFORE), loader=first, max_epochs=4)
    with pytest.raises(ResumeError, match=why):
        run(Path("one"), loader=then, max_epochs=4)


def test_a_callback_that_is_new_is_told() -> None:
    run(Path("one"), (18, BEFORE), max_epochs=4)
    with pytest.warns(UserWarning, match=r"Noise\.generator was not there when"):
        run(Path("one"), others=lambda: [Noise(3)], max_epochs=4)
