"""Laws of the learning rate: it is lent for a span, exactly as planned, and given back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import optim
from torch.optim import lr_scheduler

from tests.loop import EPOCH, Loop, plan_of

SCHEDULERS: dict[str, Callable[[Any], Any] | None] = {
    "none": None,
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 12),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=40),
    "lambda": lambda o: lr_scheduler.LambdaLR(o, lambda step: 1 / (1 + step)),
}

SPANS: dict[str, dict[str, Any]] = {
    "constant": {"init": 0.3},
    "factor": {"factor": 0.1},
    "linear": {"schedule": "linear", "init": 0.5, "final": 0.25},
    "cosine": {"schedule": "cosine", "factor": 0.1},
    "exponential": {"schedule": "exponential", "factor": 0.1},
    "step": {"schedule": "step", "gamma": 0.5, "every": "2st"},
    "multistep": {"schedule": "multistep", "gamma": 0.5, "milestones": ["1st", "3st"]},
    "warm-up": {"schedule": "cosine", "factor": 0.1, "warmup": "2st"},
}

FREEZE = {"f": {"type": "freeze_mask"}}
TICKETS = {"type": "iterative_prune", "rounds": 2, "every": "5st"}


def own_curve(scheduler: str, steps: int = 12) -> list[float]:
    """The module's own rate at each update when nothing touches it."""
    return Loop(FREEZE, total=steps, scheduler=SCHEDULERS[scheduler]).run().rates


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_rates_are_the_plans_and_outside_the_span_the_modules_own(
    scheduler: str, span: str
) -> None:
    lr = {"type": "lr", "start": "3st", "end": "8st", **SPANS[span]}
    loop = Loop({"lr": lr}, total=12, scheduler=SCHEDULERS[scheduler]).run()
    own = own_curve(scheduler)
    assert loop.rates == loop.plan.rates(own)
    assert loop.rates[:3] == own[:3]
    assert loop.rates[8:] == own[8:]
    assert loop.rates[3:8] != own[3:8]


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("rewind_to", ["init", "2st"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_under_rewinding_rates_run_on_the_rounds_clock(
    scheduler: str, rewind_to: str, span: str
) -> None:
    modifiers = {
        "lr": {"type": "lr", "start": "1st", "end": "5st", **SPANS[span]},
        "t": {**TICKETS, "rewind_to": rewind_to},
    }
    loop = Loop(modifiers, scheduler=SCHEDULERS[scheduler]).run()
    assert loop.rates == loop.plan.rates(own_curve(scheduler, loop.plan.total))
    back = 2 if rewind_to == "2st" else 0
    rounds = [loop.rates[start : start + 5] for start in range(back, loop.plan.total, 5)]
    assert len(rounds) == 3
    assert rounds[0] == rounds[1] == rounds[2]


@pytest.mark.parametrize("span", SPANS)
def test_the_journal_and_the_engine_tell_the_rate_of_the_next_update(span: str) -> None:
    lr = {"type": "lr", "start": "3st", "end": "8st", **SPANS[span]}
    loop = Loop({"lr": lr}, total=12, scheduler=SCHEDULERS["exponential"])
    for step in range(12):
        told = loop.engine.rate
        loop.step()
        assert loop.rates[step] == told
    assert [(entry["step"], entry["lr"]) for entry in loop.engine.state.journal] == [
        (3, loop.rates[3]),
        (8, loop.rates[8]),
    ]


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
def test_a_ramps_first_and_last_updates_have_its_two_ends(shape: str) -> None:
    lr = {"type": "lr", "start": "3st", "end": "8st", "schedule": shape}
    loop = Loop({"lr": {**lr, "init": 0.5, "final": 0.25}}, total=12).run()
    assert loop.rates[3] == 0.5
    assert loop.rates[7] == 0.25
    assert sorted(loop.rates[3:8], reverse=True) == loop.rates[3:8]


def test_warm_up_rises_in_equal_steps_to_the_first_rate() -> None:
    lr = {"type": "lr", "init": 0.4, "warmup": "3st", "end": "8st"}
    loop = Loop({"lr": lr}, total=8).run()
    assert loop.rates[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4])


def test_shares_of_a_step_schedule_are_of_the_round() -> None:
    stairs = {"type": "lr", "schedule": "step", "gamma": 0.5, "every": "50%"}
    loop = Loop({"lr": stairs, "t": {**TICKETS, "every": "6st"}}).run()
    assert loop.rates == [0.1] * 3 + [0.05] * 3 + [0.1] * 3 + [0.05] * 3 + [0.1] * 3 + [0.05] * 3


def test_two_spans_follow_each_other() -> None:
    modifiers = {
        "a": {"type": "lr", "init": 0.3, "end": "4st"},
        "b": {"type": "lr", "factor": 0.5, "start": "a.end", "end": "8st"},
    }
    loop = Loop(modifiers, total=12, scheduler=SCHEDULERS["exponential"]).run()
    own = own_curve("exponential")
    assert loop.rates == [0.3] * 4 + [own[4] * 0.5] * 4 + own[8:]


def test_every_group_of_every_optimizer_keeps_its_own_proportion() -> None:
    def two(model: Any) -> list[optim.Optimizer]:
        first, second, *rest = model.parameters()
        groups = [{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.01}]
        return [optim.SGD(groups), optim.Adam(rest, lr=0.001)]

    loop = Loop({"lr": {"type": "lr", "factor": 0.5, "end": "3st"}}, total=6, optimizer=two)
    seen: list[list[float]] = []
    for optimizer in loop.optimizers:
        optimizer.register_step_pre_hook(
            lambda o, args, kwargs: seen.append([group["lr"] for group in o.param_groups])
        )
    loop.run()
    assert seen == [[0.05, 0.005], [0.0005]] * 3 + [[0.1, 0.01], [0.001]] * 3


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    lent: list[Any] = []

    def tensor_rate(model: Any) -> optim.Optimizer:
        return optim.Adam(model.parameters(), lr=torch.tensor(0.01))

    loop = Loop({"lr": {"type": "lr", "init": 0.5, "end": "3st"}}, total=6, optimizer=tensor_rate)
    loop.optimizers[0].register_step_pre_hook(
        lambda o, args, kwargs: lent.append(o.param_groups[0]["lr"])
    )
    loop.run()
    assert all(isinstance(rate, torch.Tensor) for rate in lent)
    assert [float(rate) for rate in lent] == pytest.approx([0.5] * 3 + [0.01] * 3)


@pytest.mark.parametrize("start", ["1ep", "4ep"])
def test_a_curve_that_ends_before_the_run_goes_on_at_its_last_rate(start: str) -> None:
    plan = plan_of({"lr": {"type": "lr", "start": start, "factor": 0.5}}, total=5 * EPOCH)
    curve = [1.0, 0.25, 0.125, 0.0625]
    whole = curve + [curve[-1]] * (plan.total - len(curve))
    assert plan.rates(curve) == plan.rates(whole)
