"""Laws of the engine: pruned stays pruned, the journal is the plan, rewinding is exact."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import nn, optim

from pruneflow.engine import Engine
from pruneflow.errors import NonFiniteError
from tests.loop import OPTIMIZERS, Loop, lenet, plan_of, revived, small_net

PRUNE = {"type": "prune", "sparsity": 0.7, "start": "0st", "end": "6st", "every": "2st"}
LATE = {**PRUNE, "start": "3st", "end": "7st"}


def test_every_optimizer_of_torch_is_tried_but_the_sparse_one() -> None:
    classes = {
        name for name, cls in vars(optim).items()
        if isinstance(cls, type) and issubclass(cls, optim.Optimizer)
    }  # fmt: skip
    tried = {
        type(make(small_net(bias=False).parameters())).__name__ for make in OPTIMIZERS.values()
    }
    assert tried == classes - {"Optimizer", "SparseAdam"}


@pytest.mark.parametrize("prune", [PRUNE, LATE], ids=["at once", "with a memory"])
@pytest.mark.parametrize("ignore", [[], ["input"]], ids=["all", "without input"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_stays_positive_zero_after_every_step(
    name: str, ignore: list[str], prune: dict[str, Any]
) -> None:
    loop = Loop(
        {"prune": {**prune, "ignore": ignore}},
        total=12,
        net=lambda: small_net(bias=False),
        optimizer=lambda model: OPTIMIZERS[name](model.parameters()),
        closure=name == "lbfgs",
    )
    start = loop.weights
    while loop.clock < loop.plan.total:
        loop.step()
        assert not revived(loop), f"step {loop.clock}"
    assert loop.engine.sparsity == pytest.approx(0.7, abs=0.5 / loop.plan.size)
    assert any(
        bool((w[m] != start[n][m]).any()) for n, m in loop.masks.items() for w in [loop.weights[n]]
    )


@pytest.mark.parametrize("name", ["sgd, momentum", "adam", "muon"])
def test_without_the_engine_zeros_come_back(name: str) -> None:
    loop = Loop(
        {"prune": LATE},
        total=12,
        net=lambda: small_net(bias=False),
        optimizer=lambda model: OPTIMIZERS[name](model.parameters()),
    )
    loop.run(7)
    loop.engine.detach()
    loop.step()
    assert revived(loop)


def test_accumulated_gradients_do_not_revive() -> None:
    loop = Loop({"prune": PRUNE}, total=12, accumulate=3)
    while loop.clock < 12:
        loop.step()
        assert not revived(loop)


def test_two_optimizers_on_two_halves() -> None:
    def two(model: nn.Module) -> list[optim.Optimizer]:
        first, *rest = model.parameters()
        return [optim.Adam([first], lr=0.01), optim.SGD(rest, lr=0.1, momentum=0.9)]

    loop = Loop({"prune": LATE}, total=12, optimizer=two)
    while loop.clock < 12:
        loop.step()
        assert not revived(loop)
    assert loop.engine.updates == 24


def test_a_step_leaves_other_optimizers_weights_to_the_graphs_that_need_them() -> None:
    """As in a GAN, where the generator learns from a graph older than the discriminator's step."""
    model = small_net()
    first, last = (optim.SGD(model[index].parameters(), 0.1) for index in (0, 2))
    engine = Engine(plan_of({"prune": PRUNE}), model, [first, last])
    engine.advance(6)
    x = torch.randn(4, 6, requires_grad=True)
    kept = model[0](x).sum()
    model[2](torch.randn(4, 8)).sum().backward()
    last.step()
    kept.backward()
    assert x.grad is not None
    assert engine.updates == 1


def test_beside_another_an_optimizer_of_copies_revives_nothing() -> None:
    """As where master weights of higher precision are trained, and copied into the network's."""

    class OfCopies(optim.SGD):
        def __init__(self, weights: list[torch.Tensor]) -> None:
            self.pairs = [(weight, weight.detach().clone()) for weight in weights]
            super().__init__([copy for _, copy in self.pairs], 0.1)

        def step(self, closure: Any = None) -> None:
            with torch.no_grad():
                for weight, copy in self.pairs:
                    weight.copy_(copy)

    model = small_net()
    first, last = OfCopies([model[0].weight]), optim.SGD(model[2].parameters(), 0.1)
    engine = Engine(plan_of({"prune": PRUNE}), model, [first, last])
    engine.advance(6)
    first.step()
    assert not bool(model[0].weight[engine.state.masks["fc1.weight"] == 0].any())


def test_momentum_does_not_build_up_at_pruned_places() -> None:
    loop = Loop({"prune": LATE}, total=12).run()
    for name, mask in loop.masks.items():
        memory = loop.optimizers[0].state[loop.model.get_parameter(name)]["momentum_buffer"]
        assert bool((memory[~mask] == 0).all())


@pytest.mark.parametrize(
    "modifiers",
    [
        {"prune": LATE},
        {"prune": LATE, "freeze": {"type": "freeze_mask", "start": "prune.end"}},
        {"t": {"type": "iterative_prune", "rounds": 3, "every": "1ep"}},
        {"lr": {"type": "lr", "factor": 0.1, "start": "3st"}, "prune": {**LATE, "start": "2st"}},
    ],
    ids=str,
)
def test_the_journal_is_the_plan(modifiers: dict[str, Any]) -> None:
    loop = Loop(modifiers, total=12).run()
    journal = loop.engine.state.journal
    planned = loop.plan.to_dict()["events"]
    keys = ("step", "epoch", "modifier", "event", "nonzeros")
    assert [{k: e[k] for k in keys} for e in journal] == [{k: e[k] for k in keys} for e in planned]
    for entry, event in zip(journal, planned, strict=True):
        assert entry["sparsity"] == pytest.approx(event["sparsity"], abs=1e-12)
    assert journal[-1]["nonzeros"] == sum(int(mask.sum()) for mask in loop.masks.values())


def test_events_fire_at_their_step_and_a_late_call_fires_what_it_missed_in_order() -> None:
    loop = Loop({"prune": LATE}, total=12)
    assert loop.engine.advance(2) == []
    assert [event.step for event in loop.engine.advance(6)] == [3, 5]
    assert loop.engine.advance(6) == []
    assert [event.step for event in loop.engine.advance(12)] == [7]


def test_lenet_counts_of_twenty_rounds_are_frankles() -> None:
    ticket = {
        "type": "iterative_prune",
        "rounds": 20,
        "every": "1st",
        "fraction": {"default": 0.2, "output": 0.1},
    }
    loop = Loop({"ticket": ticket}, net=lenet)
    left = {"fc1.weight": 235_200, "fc2.weight": 30_000, "output.weight": 1_000}
    share = {"fc1.weight": Fraction(1, 5), "fc2.weight": Fraction(1, 5)}
    for step in range(1, 21):
        loop.step()
        left = {name: n - round(share.get(name, Fraction(1, 10)) * n) for name, n in left.items()}
        assert {name: int(mask.sum()) for name, mask in loop.masks.items()} == left
        assert loop.engine.state.journal[-1]["step"] == step
        assert loop.engine.nonzeros == sum(left.values())
    assert loop.plan.total == 21


def test_a_weight_that_is_no_number_stops_the_run_at_the_event() -> None:
    loop = Loop({"prune": LATE}, total=12).run(2)
    with torch.no_grad():
        loop.model.get_parameter("fc2.weight")[0, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="step 3"):
        loop.step()


def test_detaching_leaves_no_hook() -> None:
    loop = Loop({"prune": PRUNE}, total=12)
    [optimizer] = loop.optimizers
    before = len(optimizer._optimizer_step_post_hooks)
    loop.engine.guard(loop.optimizers)
    assert len(optimizer._optimizer_step_pre_hooks) == 1
    assert len(optimizer._optimizer_step_post_hooks) == before
    assert loop.engine.is_guarded(optimizer)
    loop.engine.detach()
    assert len(optimizer._optimizer_step_pre_hooks) == 0
    assert len(optimizer._optimizer_step_post_hooks) == before - 1
    assert not loop.engine.is_guarded(optimizer)


def test_state_dict_keys_are_the_networks_own() -> None:
    loop = Loop({"prune": PRUNE}, total=12).run()
    assert list(loop.model.state_dict()) == list(small_net().state_dict())
    assert all(type(p) is nn.Parameter for p in loop.model.parameters())


def test_of_nothing_no_share_is_zero() -> None:
    plan = plan_of({"rate": {"type": "lr", "factor": 0.5}}, total=3)
    model = small_net()
    engine = Engine(plan, model, [optim.SGD(model.parameters(), lr=0.1)])
    assert (engine.sparsity, engine.nonzeros, engine.layer_sparsity) == (0.0, 0, {})
