"""One training step in several ways: plain, masked by others, masked by PruneFlow.

Every side has its own copy of the network, the same masks and the same batches; they take turns,
a few steps at a time, in an order that is shuffled anew.
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize, prune
from torch.optim import Optimizer

import pruneflow
from pruneflow.engine import Engine
from pruneflow.recipe.compiler import compile_for
from pruneflow.recipe.schema import build
from pruneflow.timeline import Horizon
from pruneflow.zoo.classifier import OPTIMIZERS, make_optimizer
from pruneflow.zoo.lenet import LeNet5, LeNet300100
from pruneflow.zoo.resnet import ResNet20

SPARSITY = 0.9
RECIPE = {
    "modifiers": {
        "prune": {"type": "prune", "sparsity": SPARSITY, "start": "0st"},
        "freeze": {"type": "freeze_mask", "start": "prune.end"},
    }
}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"name": "sgd", "lr": 0.01, "momentum": 0.9},
    "adam": {"name": "adam", "lr": 1e-4},
    "adamw": {"name": "adamw", "lr": 1e-4, "weight_decay": 0.01},
}
POOL = 16
"""Random batches that come again and again."""

WARM = 5
LEAST = 0.02
"""CPU seconds of a turn, at least, to be told by the clock."""

Masks = Mapping[str, torch.Tensor]
Side = Callable[[torch.Tensor, torch.Tensor], None]


def wide() -> nn.Module:
    """784-1024 (ten times)-10: 10.2 million weights."""
    hidden = [layer for _ in range(9) for layer in (nn.Linear(1024, 1024), nn.ReLU())]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 1024), nn.ReLU(), *hidden, nn.Linear(1024, 10)
    )


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], int, tuple[int, int, int]]] = {
    "lenet_300_100": (lambda: LeNet300100({}), 128, (1, 28, 28)),
    "mlp_10m": (wide, 128, (1, 28, 28)),
    "lenet5": (lambda: LeNet5({}), 64, (1, 28, 28)),
    "resnet20": (lambda: ResNet20({}, channels=3), 32, (3, 32, 32)),
}
"""How each is made, the size of a batch, and of an image."""


def made(network: str) -> nn.Module:
    """A network with weights that are the same every time."""
    torch.manual_seed(0)
    return NETWORKS[network][0]()


def batches(network: str) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Random images, and labels that have nothing to do with them."""
    _, size, image = NETWORKS[network]
    chance = torch.Generator().manual_seed(1)
    return [
        (torch.randn(size, *image, generator=chance), torch.randint(10, (size,), generator=chance))
        for _ in range(POOL)
    ]


def cell(network: str, optimizer: str, turns: int) -> dict[str, Any]:
    """CPU and wall seconds of every side's step, turn by turn."""
    torch.set_num_threads(1)
    assert set(OPTIMIZERS) == set(SETTINGS)
    model = made(network)
    settings = SETTINGS[optimizer]
    kept = pruned(copy.deepcopy(model))
    sides: dict[str, Side] = {}
    for name, make in SIDES.items():
        mine = copy.deepcopy(model)
        sides[name] = make(mine, settings, kept)
    data = batches(network)
    for turn in range(WARM):
        for side in sides.values():
            side(*data[turn % POOL])
    began = time.process_time()
    sides["plain"](*data[0])
    each = max(1, round(LEAST / (time.process_time() - began)))
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    wall: dict[str, list[float]] = {name: [] for name in sides}
    chance = random.Random(0)
    for turn in range(turns):
        for name in chance.sample(list(sides), len(sides)):
            before = time.process_time(), time.perf_counter()
            for step in range(each):
                sides[name](*data[(turn * each + step) % POOL])
            cpu[name].append((time.process_time() - before[0]) / each)
            wall[name].append((time.perf_counter() - before[1]) / each)
    return {"batch": NETWORKS[network][1], "steps_a_turn": each, "cpu": cpu, "wall": wall}


def pruned(model: nn.Module) -> dict[str, torch.Tensor]:
    """The masks that everybody gets: of the smallest magnitudes of all layers together."""
    plan = compile_for(build(RECIPE), model, Horizon(100, 100))
    engine = Engine(plan, model, ())
    engine.advance(0)
    return engine.state.masks


def _step(model: nn.Module, optimizer: Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    optimizer.step()


def _plain(model: nn.Module, settings: Mapping[str, Any], masks: Masks) -> Side:
    optimizer = make_optimizer(settings, model.parameters())
    return lambda x, y: _step(model, optimizer, x, y)


def _by_hand(model: nn.Module, settings: Mapping[str, Any], masks: Masks) -> Side:
    """The cheapest idiom: weights are multiplied after the step, gradients stay as they are."""
    optimizer = make_optimizer(settings, model.parameters())
    weights = [model.get_parameter(name) for name in masks]
    tensors = list(masks.values())

    @torch.no_grad()
    def mask() -> None:
        torch._foreach_mul_(weights, tensors)

    def side(x: torch.Tensor, y: torch.Tensor) -> None:
        _step(model, optimizer, x, y)
        mask()

    mask()
    return side


def _torch_prune(model: nn.Module, settings: Mapping[str, Any], masks: Masks) -> Side:
    for name, mask in masks.items():
        owner, _, leaf = name.rpartition(".")
        prune.custom_from_mask(model.get_submodule(owner), leaf, mask)
    return _plain(model, settings, masks)


class _Masked(nn.Module):
    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight * self.mask


def _parametrized(model: nn.Module, settings: Mapping[str, Any], masks: Masks) -> Side:
    for name, mask in masks.items():
        owner, _, leaf = name.rpartition(".")
        parametrize.register_parametrization(model.get_submodule(owner), leaf, _Masked(mask))
    return _plain(model, settings, masks)


def _pruneflow(model: nn.Module, settings: Mapping[str, Any], masks: Masks) -> Side:
    optimizer = make_optimizer(settings, model.parameters())
    plan = compile_for(build(RECIPE), model, Horizon(100, 1_000_000))
    engine = Engine(plan, model, [optimizer])
    engine.advance(0)

    def side(x: torch.Tensor, y: torch.Tensor) -> None:
        _step(model, optimizer, x, y)
        engine.advance(engine.state.clock + 1)

    return side


def _loop(model: nn.Module, settings: Mapping[str, Any], masks: Masks) -> Side:
    """In a loop of one's own gradients are masked as they come and once more before the update."""
    optimizer = make_optimizer(settings, model.parameters())
    pruning = pruneflow.prune(
        model, build(RECIPE), optimizer=optimizer, steps_per_epoch=100, epochs=1_000_000
    )

    def side(x: torch.Tensor, y: torch.Tensor) -> None:
        _step(model, optimizer, x, y)
        pruning.step()

    return side


SIDES: Mapping[str, Callable[[nn.Module, Mapping[str, Any], Masks], Side]] = {
    "plain": _plain,
    "plain again": _plain,
    "PruneFlow": _pruneflow,
    "pruneflow.prune": _loop,
    "by hand": _by_hand,
    "nn.utils.prune": _torch_prune,
    "parametrize": _parametrized,
}
