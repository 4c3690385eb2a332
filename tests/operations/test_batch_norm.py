"""Recalibration: running statistics are the average over batches, and nothing else moves."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pruneflow.errors import NonFiniteError, PlanError, TrainingError
from tests.loop import Loop, Watched, bits, plan_of, small_net

AT_5 = {"type": "recalibrate_bn", "start": "5st"}


def noisy_net() -> nn.Sequential:
    """Two batch norms, the second one without parameters; dropout; something that draws."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm1d(8, momentum=0.3),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(8, 5),
        nn.BatchNorm1d(5, affine=False),
        nn.Linear(5, 3),
    )


def recalibrated(**more: Any) -> Loop:
    return Loop({"it": {**AT_5, **more}}, total=8, net=noisy_net).run(5)


def expected(loop: Loop, batches: int) -> list[torch.Tensor]:
    """The four statistics, computed from the weights alone."""
    model: Any = loop.model
    weight = loop.weights
    firsts, seconds = [], []
    for batch in Watched(6).inputs[:batches]:
        a = batch @ weight["0.weight"].T + weight["0.bias"]
        firsts.append((a.mean(0), ((a - a.mean(0)) ** 2).sum(0) / (len(a) - 1)))
        standard = (a - a.mean(0)) / (a.var(0, correction=0) + model[1].eps).sqrt()
        hidden = (standard * weight["1.weight"] + weight["1.bias"]).clamp(min=0)  # no dropout
        b = hidden @ weight["4.weight"].T + weight["4.bias"]
        seconds.append((b.mean(0), ((b - b.mean(0)) ** 2).sum(0) / (len(b) - 1)))
    return [
        torch.stack([pair[index] for pair in pairs]).mean(0)
        for pairs in (firsts, seconds)
        for index in (0, 1)
    ]


@pytest.mark.parametrize(("batches", "read"), [(1, 1), (3, 3), (5, 5), (100, 5)])
def test_statistics_are_the_plain_average_of_those_of_every_batch(batches: int, read: int) -> None:
    loop = recalibrated(batches=batches)
    model: Any = loop.model
    found = [s for norm in (model[1], model[5]) for s in (norm.running_mean, norm.running_var)]
    for mine, theirs in zip(found, expected(loop, read), strict=True):
        torch.testing.assert_close(mine, theirs)
    assert [int(model[index].num_batches_tracked) for index in (1, 5)] == [read, read]


def test_nothing_but_statistics_moves() -> None:
    def rest(loop: Loop) -> Any:
        state = loop.model.state_dict()
        return bits(
            {
                "weights": {
                    n: v for n, v in state.items() if "running" not in n and "num" not in n
                },
                "optimizers": [o.state_dict() for o in loop.optimizers],
                "grads": [p.grad for p in loop.model.parameters() if p.grad is not None],
                "rng": torch.get_rng_state(),
            }
        ), (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index]

    def at_7(start: str) -> Loop:
        random.seed(0)
        np.random.seed(0)
        loop = Loop({"it": {**AT_5, "start": start}}, total=8, net=noisy_net)
        torch.manual_seed(1)
        return loop.run(7)

    with_it = at_7("5st")
    assert rest(with_it) == rest(at_7("8st"))
    model: Any = with_it.model
    assert all(module.training for module in model.modules())
    assert [model[1].momentum, model[5].momentum] == [0.3, 0.1]


class Branches(nn.Module):
    """A batch norm that only runs in training, beside one that always does."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(6, 3)
        self.aside, self.norm = nn.BatchNorm1d(3), nn.BatchNorm1d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.fc(x)
        found: torch.Tensor = self.norm(hidden)
        return found + self.aside(hidden) if self.training else found


def test_a_batch_norm_that_no_batch_reaches_keeps_its_statistics() -> None:
    loop = Loop({"it": {**AT_5, "start": "0st"}}, total=8, net=Branches)
    model: Any = loop.model
    assert bits(model.aside.state_dict()) == bits(nn.BatchNorm1d(3).state_dict())
    assert int(model.norm.num_batches_tracked) == 5


def test_a_network_without_batch_norm_is_refused_in_the_plan() -> None:
    untracked = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3, track_running_stats=False))
    for net in (small_net(), untracked):
        with pytest.raises(PlanError, match=r"modifiers.it.*has no batch norm with running stat"):
            plan_of({"it": AT_5}, net)


def test_batch_norms_without_parameters_have_statistics_all_the_same() -> None:
    net = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3, affine=False))
    Loop({"it": {**AT_5, "start": "0st"}}, total=8, net=lambda: net)
    assert int(net[1].num_batches_tracked) == 5


def test_what_no_batch_reaches_is_told() -> None:
    class Idle(nn.Linear):
        def __init__(self) -> None:
            super().__init__(6, 3)
            self.norm = nn.BatchNorm1d(3)

    with pytest.raises(TrainingError, match=r"modifiers\.it: the network calls no batch norm"):
        Loop({"it": {**AT_5, "start": "0st"}}, total=8, net=Idle)
    loop = Loop({"it": AT_5}, total=8, net=noisy_net)
    assert isinstance(loop.engine.network.calibration, Watched)
    loop.engine.network.calibration.inputs.clear()
    with pytest.raises(TrainingError, match="there are no calibration batches"):
        loop.run()


def test_values_that_are_not_finite_are_an_error() -> None:
    loop = Loop({"it": AT_5}, total=8, net=noisy_net)
    assert isinstance(loop.engine.network.calibration, Watched)
    loop.engine.network.calibration.inputs[3][1, 1] = torch.inf
    with pytest.raises(NonFiniteError, match=r"batch norm '1' is given NaN .* at step 5"):
        loop.run()


def test_without_calibration_it_says_so() -> None:
    loop = Loop({"it": AT_5}, total=8, net=noisy_net)
    loop.engine.network.calibration = None
    with pytest.raises(TrainingError, match=r"modifiers\.it: needs calibration batches"):
        loop.run()
