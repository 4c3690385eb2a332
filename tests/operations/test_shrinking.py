"""Taking channels out: nothing that is left changes, and nothing that is gone is missed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.optim.swa_utils import AveragedModel

from pruneflow.errors import TrainingError
from tests.loop import OPTIMIZERS, Loop, resumed_anywhere

SHRINK = {
    "prune": {
        "type": "prune", "granularity": "channel", "allocation": "uniform",
        "sparsity": 0.5, "start": "1ep",
    },
    "shrink": {"type": "shrink", "start": "2ep"},
}  # fmt: skip


def net() -> nn.Module:
    """Convolutions, a batch norm and a flattening; channels in groups of 6, 4 and 8."""
    torch.manual_seed(0)
    layers = OrderedDict(
        lift=nn.Unflatten(1, (1, 6, 6)),
        conv1=nn.Conv2d(1, 6, 3, bias=False),
        norm=nn.BatchNorm2d(6),
        relu1=nn.ReLU(),
        conv2=nn.Conv2d(6, 4, 3),
        relu2=nn.ReLU(),
        flat=nn.Flatten(),
        fc1=nn.Linear(16, 8),
        relu3=nn.ReLU(),
        output=nn.Linear(8, 3),
    )
    return nn.Sequential(layers)


def wide() -> nn.Module:
    """A linear layer before it, so that a loop of vectors can train it."""
    torch.manual_seed(1)
    return nn.Sequential(OrderedDict(stem=nn.Linear(36, 36), act=nn.ReLU(), body=net()))


def loop(
    tree: dict[str, Any] = SHRINK, optimizer: Any = OPTIMIZERS["adam"], saved: bytes | None = None
) -> Loop:
    return Loop(tree, 9, wide, lambda model: optimizer(model.parameters()), saved=saved)


@pytest.mark.parametrize("allocation", ["uniform", "global"])
def test_no_output_changes_and_no_name(allocation: str) -> None:
    tree = {**SHRINK, "prune": {**SHRINK["prune"], "allocation": allocation}}
    run = loop(tree).run(5)
    run.model.eval()
    inputs = torch.randn(7, 36)
    before, names = run.model(inputs), list(run.model.state_dict())
    run.model.train()
    run.engine.advance(6)
    run.model.eval()
    smaller = sum(weight.numel() for weight in run.model.parameters())
    assert smaller < sum(weight.numel() for weight in wide().parameters())
    assert list(run.model.state_dict()) == names
    # The same products, but for zeros, summed in another order: n * eps of their magnitudes.
    torch.testing.assert_close(run.model(inputs), before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd, momentum", "adam, amsgrad", "adafactor", "nadam", "muon"])
def test_what_survives_keeps_its_memory_and_its_place(name: str) -> None:
    def make(parameters: Any) -> optim.Optimizer:
        every = [weight for weight in parameters if name != "muon" or weight.dim() == 2]
        return OPTIMIZERS[name](every)

    run = loop(optimizer=make).run(5)
    (optimizer,) = run.optimizers
    names = {weight: key for key, weight in run.model.named_parameters()}
    places = [names[weight] for weight in optimizer.param_groups[0]["params"]]
    memory = {names[w]: dict(memory) for w, memory in optimizer.state.items()}
    masks, values, settings = run.masks, run.weights, settings_of(optimizer)
    run.engine.advance(6)
    now = dict(run.model.named_parameters())
    assert [now[key] for key in places] == optimizer.param_groups[0]["params"]
    assert settings_of(optimizer) == settings
    assert set(optimizer.state) == {now[key] for key in memory}
    for key, dim, made_by in (("conv1.weight", 0, "conv1"), ("output.weight", 1, "fc1")):
        stays = masks[f"body.{made_by}.weight"].flatten(1).any(1).nonzero().squeeze(1)
        weight = now[f"body.{key}"]
        assert torch.equal(weight, values[f"body.{key}"].index_select(dim, stays))
        for what, value in memory.get(f"body.{key}", {}).items():
            if isinstance(value, torch.Tensor) and value.numel() > 1:
                kept = value.index_select(dim, stays) if value.shape[dim] > 1 else value
                assert torch.equal(optimizer.state[weight][what], kept), what


def settings_of(optimizer: optim.Optimizer) -> dict[str, Any]:
    return {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}


def test_an_optimizer_that_cannot_follow_is_refused() -> None:
    run = loop()
    run.engine.network.optimizers = [optim.LBFGS(run.model.parameters())]
    run.run(5)
    with pytest.raises(TrainingError, match="LBFGS remembers all weights as one"):
        run.engine.advance(6)


def test_averages_shrink_with_the_network() -> None:
    run = loop()
    average = AveragedModel(run.model)
    run.engine.network.averages = [average]
    run.run(5)
    average.update_parameters(run.model)
    run.run(6)
    shapes = {name: weight.shape for name, weight in average.module.named_parameters()}
    assert shapes == {name: weight.shape for name, weight in run.model.named_parameters()}
    average.update_parameters(run.model)


@pytest.mark.parametrize("allocation", ["uniform", "global"])
@pytest.mark.parametrize("criterion", ["magnitude", "taylor"])
def test_the_journal_is_the_plan_and_a_resume_at_any_step_is_exact(
    allocation: str, criterion: str
) -> None:
    first = {**SHRINK["prune"], "allocation": allocation, "criterion": criterion, "sparsity": 0.3}
    tree = {
        "prune": first,
        "shrink": {"type": "shrink", "start": "4st"},
        "again": {**first, "sparsity": 0.6, "start": "5st"},
        "rest": {"type": "shrink", "start": "5st"},
        "fine": {"type": "prune", "sparsity": 0.95, "start": "7st"},
        "freeze": {"type": "freeze_mask", "start": "7st"},
    }
    run = resumed_anywhere(lambda saved: loop(tree, saved=saved))
    journal = run.engine.state.journal
    for entry, row in zip(journal, run.plan.rows, strict=True):
        zeros = run.plan.size - entry["nonzeros"]
        assert row.zeros in (None, zeros)
        fewest, most = (sum(pair[side] for pair in row.layers.values()) for side in (0, 1))
        assert fewest <= zeros <= most or row.zeros == zeros
    assert journal[-1]["sparsity"] == pytest.approx(0.95, abs=1e-3)
    if allocation == "uniform":
        assert all(row.zeros is not None for row in run.plan.rows)


def test_fewer_zeros_than_are_gone_is_said_when_it_shows() -> None:
    tree = {
        **SHRINK,
        "prune": {**SHRINK["prune"], "allocation": "global", "sparsity": 0.8},
        "less": {"type": "prune", "sparsity": 0.5, "start": "7st"},
    }
    with pytest.raises(TrainingError, match="pruned weights do not grow back, but at step 7"):
        loop(tree).run()
