"""``pruneflow.prune(..., calibration=..., loss=...)``: batches that the module is watched on."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import pruneflow
from pruneflow.errors import PlanError, TrainingError
from pruneflow.loop.pruning import Pruning
from pruneflow.pruning.oneshot import ONESHOT
from pruneflow.recipe.schema import build
from tests.loop import bits, normed_net, small_net

SEEDED = torch.Generator().manual_seed(0)
INPUTS = torch.randn(40, 6, generator=SEEDED)
LABELS = torch.randint(0, 3, (40,), generator=SEEDED)
PAIRS = [(INPUTS[at : at + 8], LABELS[at : at + 8]) for at in range(0, 40, 8)]
RECALIBRATE = {"type": "recalibrate_bn"}


def once(criterion: str) -> dict[str, Any]:
    own = {"rounds": 4} if criterion == "synflow" else {}
    return {"type": "oneshot_prune", "criterion": criterion, "sparsity": 0.5, **own}


def cross_entropy(module: nn.Module, batch: Any) -> torch.Tensor:
    return F.cross_entropy(module(batch[0]), batch[1])


def pruned(it: dict[str, Any], module: nn.Module | None = None, **options: Any) -> Pruning:
    recipe = build({"length": "1st", "modifiers": {"it": it}})
    return pruneflow.prune(
        small_net() if module is None else module, recipe, steps_per_epoch=4, **options
    )


@pytest.mark.parametrize("criterion", list(ONESHOT))
def test_a_trained_network_is_pruned_without_a_training(criterion: str) -> None:
    module = small_net()
    pruning = pruned(once(criterion), module, calibration=PAIRS, loss=cross_entropy)
    zeros = sum(int((weight == 0).sum()) for n, weight in module.named_parameters() if "w" in n)
    assert zeros == sum(
        row.zeros or 0 for row in pruning.plan.rows
    ) == round(pruning.sparsity * 103)  # fmt: skip
    assert len(pruning.journal) == 1


def test_a_loader_serves_as_well_and_is_not_moved() -> None:
    generator = torch.Generator().manual_seed(3)
    loader = DataLoader(TensorDataset(INPUTS, LABELS), 8, shuffle=True, generator=generator)
    modules = [small_net(), small_net()]
    before = generator.get_state(), torch.get_rng_state()
    one, other = (pruned(once("wanda"), module, calibration=loader) for module in modules)
    assert bits([generator.get_state(), torch.get_rng_state()]) == bits(list(before))
    assert bits(one.engine.state.masks) == bits(other.engine.state.masks)


def test_statistics_are_those_of_the_batches() -> None:
    module: Any = normed_net()
    pruned(RECALIBRATE, module, calibration=lambda: iter(PAIRS))
    hidden = [module.fc1(inputs).detach() for inputs, _ in PAIRS]
    expected = torch.stack([part.mean(0) for part in hidden]).mean(0)
    torch.testing.assert_close(module.norm.running_mean, expected)


def test_mappings_are_run_by_the_loss() -> None:
    def loss(module: nn.Module, batch: Any) -> torch.Tensor:
        return F.cross_entropy(module(batch["x"]), batch["y"])

    batches = [{"x": x, "y": y} for x, y in PAIRS]
    ours, theirs = (
        pruned(once("wanda"), calibration=calibration, loss=how)
        for calibration, how in ((batches, loss), (PAIRS, None))
    )
    assert bits(ours.engine.state.masks) == bits(theirs.engine.state.masks)
    with pytest.raises(TrainingError, match=r"of dict, .* pass prune\(\.\.\., loss="):
        pruned(once("wanda"), calibration=batches)


@pytest.mark.parametrize(
    ("it", "options", "message"),
    [
        (once("wanda"), {}, "modifiers.it: watches the module: pass prune(..., calibration=batch"),
        (RECALIBRATE, {}, "modifiers.it: watches the module: pass prune(..., calibration=batch"),
        (
            once("snip"),
            {"calibration": PAIRS},
            "modifiers.it: needs a loss: pass prune(..., loss=lambda module, batch: ...)",
        ),
    ],
)
def test_what_is_missing_is_named_at_once(it: Any, options: Any, message: str) -> None:
    module = normed_net()
    before = bits(module.state_dict())
    with pytest.raises(PlanError, match=re.escape(message)):
        pruned(it, module, **options)
    assert bits(module.state_dict()) == before


def test_batches_that_can_be_read_but_once_are_refused() -> None:
    with pytest.raises(ValueError, match="calibration: needs batches that can be read again"):
        pruned(once("wanda"), calibration=iter(PAIRS))


def test_a_recipe_that_watches_nothing_needs_none() -> None:
    pruning = pruned({"type": "prune", "sparsity": 0.5})
    assert pruning.engine.network.calibration is None
