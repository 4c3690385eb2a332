"""Averages are masked whatever holds them, and what holds none of this network is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim.swa_utils import AveragedModel

import pruneflow
from pruneflow import RecipeCallback
from pruneflow.averaged import averaged_copy
from pruneflow.errors import TrainingError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

PRUNE = {"type": "prune", "start": "2st", "end": "12st", "every": "2st", "sparsity": 0.9}
RECIPE = build({"modifiers": {"prune": PRUNE}})


class Ema(nn.Module):
    """Like timm's ``ModelEmaV2``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)


class Shadows(nn.Module):
    """Keeps averages under names of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.shadows = nn.ParameterList([p.detach().clone() for p in model.parameters()])


class Wrapped(nn.Module):
    """A network whose own names begin like a wrapper's."""

    def __init__(self) -> None:
        super().__init__()
        self.module = net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.module(x)
        return y


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("make", [net, Wrapped])
@pytest.mark.parametrize(
    "average",
    [copy.deepcopy, Ema, AveragedModel, lambda model: Ema(torch.compile(model, backend="eager"))],
    ids=["copy", "module", "AveragedModel", "compiled"],
)
def test_an_average_is_masked_whatever_holds_it(
    make: Callable[[], nn.Module], average: Callable[[nn.Module], nn.Module]
) -> None:
    model = make()
    kept = average(model)
    optimizer = optim.SGD(model.parameters(), 0.1)
    pruning = pruneflow.prune(
        model, RECIPE, optimizer=optimizer, averages=[kept], steps_per_epoch=4, steps=12
    )
    while not pruning.done:
        model(torch.randn(8, 6)).square().mean().backward()
        optimizer.step()
        pruning.step()
    inside = averaged_copy(kept, pruning.plan.masked)
    assert inside is not None
    assert pruning.engine.state.masks
    for name, mask in pruning.engine.state.masks.items():
        assert not inside.get_parameter(name)[mask == 0].count_nonzero()
        assert inside.get_parameter(name) is not model.get_parameter(name)


@pytest.mark.parametrize(
    ("average", "words"),
    [
        (Shadows, r"averages: Shadows has no copy of this module, with its '0\.weight', neither"),
        (lambda model: Ema(model[0]), "averages: Ema has no copy"),
        (lambda model: dict(model.named_parameters()), "averages: needs modules, not {'0.weight'"),
    ],
)
def test_what_holds_no_copy_is_refused_at_once(average: Any, words: str) -> None:
    model = net()
    with pytest.raises(ValueError, match=words):
        pruneflow.prune(model, RECIPE, averages=[average(model)], steps_per_epoch=4, steps=12)
    assert not any(p.grad_fn or p._backward_hooks for p in model.parameters())


@pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)
def test_a_callbacks_average_of_something_else_is_named() -> None:
    class Averaging(toy.pl.Callback):
        def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
            self._average_model = Shadows(pl_module)

    with pytest.raises(TrainingError, match="Shadows holds no average of this network"):
        toy.fit([Averaging(), RecipeCallback(RECIPE)])
