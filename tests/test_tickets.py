"""Laws of rewinding: survivors go back bit-equal, and with them memory, rate and schedule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from pruneflow.modifiers.events import Event
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.compiler import compile_plan
from pruneflow.recipe.schema import build
from pruneflow.state import detached_copy
from pruneflow.timeline import Horizon
from tests.loop import OPTIMIZERS, Loop, bits, small_net

ROUNDS = {"type": "iterative_prune", "rounds": 3, "every": "1ep", "fraction": 0.4}

SCHEDULERS = {
    "none": None,
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "multistep": lambda o: lr_scheduler.MultiStepLR(o, [2, 4], 0.5),
    "one cycle": lambda o: lr_scheduler.OneCycleLR(o, 0.2, total_steps=40),
    "chain": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 2), lr_scheduler.CosineAnnealingLR(o, 9)], [2]
    ),
}


def moment(loop: Loop) -> dict[str, Any]:
    """What a rewind has to bring back."""
    return {
        "weights": loop.weights,
        "memory": detached_copy([o.state_dict() for o in loop.optimizers]),
        "schedulers": detached_copy([s.state_dict() for s in loop.schedulers]),
        "rate": loop.engine.rate,
        "rate_clock": loop.engine.state.rate_clock,
    }


def masked(kept: dict[str, Any], loop: Loop) -> dict[str, Any]:
    """The moment as it has to look under the masks of now."""
    kept, masks = detached_copy(kept), loop.masks
    names = list(loop.weights)
    for name, mask in masks.items():
        kept["weights"][name][~mask] = 0.0
        for state in kept["memory"]:
            for key, value in state["state"].get(names.index(name), {}).items():
                if value.shape == mask.shape:
                    value.mul_(mask)
                    if key == "exp_avg_sq":
                        value[~mask] = 1.0
    return kept


@pytest.mark.parametrize("optimizer", ["sgd, momentum", "adam", "rmsprop"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("back_to", ["init", "1st", "1ep"])
def test_every_rewind_restores_the_moment_bit_by_bit(
    back_to: str, scheduler: str, optimizer: str
) -> None:
    loop = Loop(
        {"t": {**ROUNDS, "rewind_to": back_to}},
        optimizer=lambda model: OPTIMIZERS[optimizer](model.parameters()),
        scheduler=SCHEDULERS[scheduler],
    )
    loop.run({"init": 0, "1st": 1, "1ep": 3}[back_to])
    kept = moment(loop)
    snapshot = bits(loop.engine.state.snapshots)
    rewinds = 0
    while loop.clock < loop.plan.total:
        loop.step()
        if loop.engine.state.journal[-1]["step"] == loop.clock:
            rewinds += 1
            assert bits(moment(loop)) == bits(masked(kept, loop))
        else:
            assert bits(loop.weights) != bits(masked(kept, loop)["weights"])
        assert bits(loop.engine.state.snapshots) == snapshot
    assert rewinds == 3


def test_the_run_ends_with_a_trained_network() -> None:
    loop = Loop({"t": ROUNDS}).run()
    assert loop.plan.total == loop.plan.events[-1].step + 3
    start = dict(small_net().named_parameters())
    assert all(
        bool((loop.weights[name][mask] != start[name][mask]).any())
        for name, mask in loop.masks.items()
    )


def test_rewinding_lr_alone_keeps_the_weights() -> None:
    loop = Loop({"t": {**ROUNDS, "rewind": "lr"}}, scheduler=SCHEDULERS["exponential"])
    rate = loop.engine.rate
    loop.run(2)
    before = loop.weights
    seen: list[dict[str, Any]] = []
    network = loop.engine.network
    prune = network.prune
    network.prune = lambda *a, **k: (seen.append(loop.weights), prune(*a, **k))[1]  # type: ignore[method-assign, assignment]
    loop.step()
    [trained] = seen
    assert bits(trained) != bits(before)
    for name, mask in loop.masks.items():
        assert torch.equal(loop.weights[name][mask], trained[name][mask])
    assert loop.engine.rate == rate


def test_with_no_rewind_nothing_goes_back() -> None:
    loop = Loop({"t": {**ROUNDS, "rewind": "none"}}, scheduler=SCHEDULERS["exponential"]).run()
    assert {event.action for event in loop.plan.events} == {"prune"}
    assert loop.engine.rate == pytest.approx(0.1 * 0.8**loop.plan.total)
    assert loop.engine.state.rate_clock == loop.plan.total


def until_the_last_rewind(control: str | None) -> Loop:
    loop = Loop({"t": {**ROUNDS, "control": control}})
    return loop.run(loop.plan.events[-1].step)


def test_random_reinit_keeps_the_genuine_masks_and_redraws_the_values() -> None:
    genuine, control = until_the_last_rewind(None), until_the_last_rewind("random_reinit")
    assert bits(control.masks) == bits(genuine.masks)
    for name, initial in small_net().named_parameters():
        pool = initial.detach().flatten().tolist()
        values = control.weights[name].flatten().tolist()
        if name in control.masks:
            assert not torch.equal(control.weights[name], genuine.weights[name])
            kept = control.weights[name][control.masks[name]]
            assert kept.all(), "a kept weight never starts from a zero that pruning left"
            for value in filter(None, values):
                pool.remove(value)  # each initial value is used once
        else:
            assert sorted(values) == sorted(pool)


def test_random_mask_keeps_the_genuine_counts_and_initial_values() -> None:
    genuine, control = until_the_last_rewind(None), until_the_last_rewind("random_mask")
    assert control.engine.network.zeros == genuine.engine.network.zeros
    initial = dict(small_net().named_parameters())
    for name, mask in control.masks.items():
        assert not torch.equal(mask, genuine.masks[name])
        assert torch.equal(control.weights[name][mask], initial[name][mask])


@pytest.mark.parametrize("control", ["random_reinit", "random_mask"])
def test_a_control_is_the_genuine_run_until_its_last_round(control: str) -> None:
    genuine, other = Loop({"t": ROUNDS}), Loop({"t": {**ROUNDS, "control": control}})
    last = genuine.plan.events[-1].step
    while genuine.clock < last - 1:
        genuine.step()
        other.step()
        assert genuine.everything() == other.everything()


@pytest.mark.parametrize("rewind", ["weights+lr", "lr", "none"])
def test_a_dense_control_trains_as_long_at_the_same_rates_and_prunes_nothing(rewind: str) -> None:
    words = {**ROUNDS, "rewind": rewind}
    genuine = Loop({"t": words}, scheduler=SCHEDULERS["exponential"]).run()
    dense = Loop(
        {"t": {**words, "control": "dense_equal_epochs"}}, scheduler=SCHEDULERS["exponential"]
    )
    assert dense.plan.total == genuine.plan.total
    while dense.clock < dense.plan.total:
        dense.step()
        assert not dense.masks
    assert dense.rates == genuine.rates
    rates = iter(genuine.rates)
    plain = Loop({"l": {"type": "lr", "init": 1.0, "start": "0st"}}, total=genuine.plan.total)
    plain.optimizers[0].register_step_pre_hook(
        lambda optimizer, *_: optimizer.param_groups[0].update(lr=next(rates))
    )
    assert bits(plain.run().weights) == bits(dense.weights), "its weights never go back"


def test_rounds_until_a_sparsity_prune_in_the_last_one_just_what_is_left() -> None:
    goal = {**ROUNDS, "rounds": None, "sparsity": 0.75}
    loop = Loop({"t": goal}).run()
    prunes: list[Event] = [event for event in loop.plan.events if event.action == "prune"]
    size = loop.plan.size
    assert prunes[-1].quota is not None
    assert prunes[-1].quota.zeros == round(0.75 * size)
    assert size - loop.engine.nonzeros == round(0.75 * size)
    free = [event.quota.layers for event in Loop({"t": ROUNDS}).plan.events if event.quota]
    assert [event.quota.layers for event in prunes[:2] if event.quota] == free[:2]


def test_a_global_fraction_prunes_over_all_layers_together() -> None:
    loop = Loop({"t": {**ROUNDS, "allocation": "global"}})
    left = size = loop.plan.size
    for _ in range(3):
        loop.run(loop.clock + 3)
        left -= round(left * 2 / 5)
        assert loop.engine.nonzeros == left < size


@pytest.mark.parametrize("guard", [{}, {"min_nonzeros": 7}, {"max_layer_sparsity": 0.9}])
def test_no_layer_dies_in_rounds_over_all_layers(guard: dict[str, float]) -> None:
    sizes = {"fc1": (300, 784), "fc2": (100, 300), "fc3": (10, 100)}
    layers = [Layer(f"{name}.weight", ("Linear",), shape) for name, shape in sizes.items()]
    sparsity = 0.8 if "max_layer_sparsity" in guard else 0.983
    fields = {"type": "iterative_prune", "sparsity": sparsity, "every": "1ep",
              "allocation": "global", "fraction": 0.5, **guard}  # fmt: skip
    plan = compile_plan(build({"modifiers": {"imp": fields}}), layers, Horizon(1))
    for row in plan.rows:
        for layer in layers:
            _, most = row.layers[layer.name]
            least = min(layer.rows, 7) if "min_nonzeros" in guard else 1
            assert layer.size - most >= least
            assert most <= guard.get("max_layer_sparsity", 1.0) * layer.size
    assert plan.rows[-1].zeros == round(sparsity * plan.size)
