"""Laws of the network under the knife: what each change does to weights, masks and memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn, optim

from pruneflow.errors import FrozenMaskError, NonFiniteError, ResumeError
from pruneflow.network import Network
from pruneflow.operations import exchanging, rewinding
from pruneflow.optimizer_memory import mask_memory
from pruneflow.pruning.allocation import Quota
from pruneflow.state import PruneState, detached_copy
from tests.loop import bits, momentum, small_net

NAMES = ("fc1.weight", "fc2.weight")
HALF = Quota.fixed({"fc1.weight": 24, "fc2.weight": 20})


def network(state: PruneState | None = None, optimizer: Any = momentum) -> Network:
    model = small_net()
    return Network(model, [optimizer(model)], [], state or PruneState(clock=0), seed=0)


def train_once(made: Network) -> None:
    [optimizer] = made.optimizers
    optimizer.zero_grad()
    made.model(torch.randn(4, 6)).pow(2).sum().backward()
    optimizer.step()


def is_positive_zero(tensor: torch.Tensor) -> bool:
    return bool(tensor.eq(0).all()) and not bool(tensor.signbit().any())


def test_prune_takes_the_lowest_and_leaves_the_others_alone() -> None:
    made = network()
    before = {name: weight.clone() for name, weight in made.model.named_parameters()}
    made.prune(NAMES, HALF, "magnitude")
    for name, weight in made.model.named_parameters():
        if name not in NAMES:
            assert torch.equal(weight, before[name])
            continue
        kept = made.state.masks[name].bool()
        assert torch.equal(weight[kept], before[name][kept])
        assert is_positive_zero(weight[~kept])
        assert before[name][~kept].abs().max() <= before[name][kept].abs().min()
    assert made.zeros == HALF.layers


def test_masks_have_their_weights_dtype_and_shape() -> None:
    made = Network(small_net().to(torch.bfloat16), [], [], PruneState(), 0)
    made.prune(NAMES, HALF, "magnitude")
    for name, mask in made.state.masks.items():
        weight = made.model.get_parameter(name)
        assert (mask.dtype, mask.shape) == (weight.dtype, weight.shape)


@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_masks_only_ever_grow(criterion: str) -> None:
    made = network()
    made.prune(NAMES, HALF, criterion)
    first = {name: mask.clone() for name, mask in made.state.masks.items()}
    with torch.no_grad():  # large, had they not been pruned
        for name in NAMES:
            made.model.get_parameter(name).add_(9.0)
    made.state.clock = 1
    made.prune(NAMES, Quota.fixed({"fc1.weight": 30, "fc2.weight": 21}), criterion)
    for name, mask in first.items():
        assert bool((made.state.masks[name] <= mask).all())
    assert made.zeros == {"fc1.weight": 30, "fc2.weight": 21}


def test_apply_masks_brings_back_positive_zero_whatever_was_there() -> None:
    made = network()
    made.prune(NAMES, HALF, "magnitude")
    with torch.no_grad():
        for name in NAMES:
            made.model.get_parameter(name).copy_(torch.randn_like(made.state.masks[name]))
    made.apply_masks()
    for name in NAMES:
        gone = made.state.masks[name] == 0
        assert is_positive_zero(made.model.get_parameter(name)[gone])


def test_gradients_of_pruned_weights_are_masked_and_missing_ones_are_no_trouble() -> None:
    made = network()
    made.prune(NAMES, HALF, "magnitude")
    made.mask_gradients()
    made.model(torch.randn(4, 6)).sum().backward()
    full = made.model.get_parameter("fc1.weight").grad.clone()  # type: ignore[union-attr]
    made.mask_gradients()
    mask = made.state.masks["fc1.weight"]
    assert torch.equal(made.model.get_parameter("fc1.weight").grad, full * mask)  # type: ignore[arg-type]
    assert bool((full[mask == 0] != 0).any())


def test_pruning_clears_the_optimizers_memory() -> None:
    made = network()
    train_once(made)
    made.prune(NAMES, HALF, "magnitude")
    for name in NAMES:
        memory = made.optimizers[0].state[made.model.get_parameter(name)]["momentum_buffer"]
        gone = made.state.masks[name] == 0
        assert bool((memory[gone] == 0).all())
        assert bool((memory[~gone] != 0).any())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("change", ["prune", "freeze"])
def test_a_weight_that_is_no_number_is_an_error_and_not_a_mask(bad: float, change: str) -> None:
    made = network()
    with torch.no_grad():
        made.model.get_parameter("fc2.weight")[1, 2] = bad
    with pytest.raises(NonFiniteError, match=r"'fc2\.weight'.*step 0"):
        made.prune(NAMES, HALF, "magnitude") if change == "prune" else made.freeze(NAMES)
    assert made.state.masks == {}
    assert made.state.frozen == set()


def test_freeze_adopts_the_zeros_that_are_there_negative_ones_too() -> None:
    made = network()
    weight = made.model.get_parameter("fc1.weight")
    with torch.no_grad():
        weight[0] = 0.0
        weight[1] = -0.0
    made.freeze(["fc1.weight"])
    assert made.zeros == {"fc1.weight": 12}
    assert is_positive_zero(weight[:2])
    train_once(made)
    made.apply_masks()
    assert is_positive_zero(weight[:2])


def test_a_frozen_mask_does_not_change() -> None:
    made = network()
    made.prune(NAMES, HALF, "magnitude")
    made.freeze(["fc2.weight"])
    kept = bits(made.state.masks)
    more = Quota.fixed({"fc1.weight": 30, "fc2.weight": 30})
    with pytest.raises(FrozenMaskError, match=r"'fc2\.weight' is frozen"):
        made.prune(NAMES, more, "magnitude")
    with pytest.raises(FrozenMaskError, match=r"'fc2\.weight' is frozen"):
        exchanging.shuffle_masks(made, ["fc2.weight"])
    assert bits(made.state.masks) == kept
    made.prune(["fc1.weight"], Quota.fixed({"fc1.weight": 30}), "magnitude")


def test_shuffling_masks_keeps_every_layers_count() -> None:
    made = network()
    made.prune(NAMES, HALF, "magnitude")
    before = {name: mask.clone() for name, mask in made.state.masks.items()}
    exchanging.shuffle_masks(made, NAMES)
    assert made.zeros == HALF.layers
    assert all(not torch.equal(made.state.masks[name], before[name]) for name in NAMES)


def test_redrawing_permutes_every_tensor_within_itself() -> None:
    made = network()
    before = {name: weight.clone() for name, weight in made.model.named_parameters()}
    rewinding.take_snapshot(made, "m", weights=True)
    train_once(made)
    rewinding.redraw_weights(made, "m")
    for name, weight in made.model.named_parameters():
        assert torch.equal(
            weight.sort().values.flatten().sort().values, before[name].flatten().sort().values
        )
        assert not torch.equal(weight, before[name])


def test_averages_are_masked_at_events_and_follow_a_rewind() -> None:
    made = network()
    made.averages = [optim.swa_utils.AveragedModel(made.model)]
    average = made.averages[0].module
    rewinding.take_snapshot(made, "m", weights=True)
    train_once(made)
    made.prune(NAMES, HALF, "magnitude")
    for name in NAMES:
        assert is_positive_zero(average.get_parameter(name)[made.state.masks[name] == 0])
    rewinding.rewind(made, "m")
    assert bits(dict(average.named_parameters())) == bits(dict(made.model.named_parameters()))


def test_a_snapshot_shares_nothing_with_what_trains() -> None:
    made = network()
    train_once(made)
    rewinding.take_snapshot(made, "m", weights=True)
    kept = bits(made.state.snapshots["m"])
    for _ in range(2):
        train_once(made)
        assert bits(made.state.snapshots["m"]) == kept
        rewinding.rewind(made, "m")
        assert bits(made.state.snapshots["m"]) == kept


def test_a_snapshot_without_weights_leaves_weights_and_memory_alone() -> None:
    made = network()
    made.optimizers[0].param_groups[0]["lr"] = 0.5
    rewinding.take_snapshot(made, "m", weights=False)
    train_once(made)
    made.optimizers[0].param_groups[0].update(lr=0.01, momentum=0.1)
    weights, memory = bits(made.model.state_dict()), bits(made.optimizers[0].state_dict()["state"])
    rewinding.rewind(made, "m")
    assert bits(made.model.state_dict()) == weights
    assert bits(made.optimizers[0].state_dict()["state"]) == memory
    assert made.optimizers[0].param_groups[0]["lr"] == 0.5
    assert made.optimizers[0].param_groups[0]["momentum"] == 0.9


def test_a_mask_for_a_weight_that_is_not_there_is_refused() -> None:
    with pytest.raises(ResumeError, match=r"mask of 'fc9\.weight' fits no weight"):
        network(PruneState(masks={"fc9.weight": torch.ones(2, 2)}))


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ResumeError, match="version 99"):
        PruneState.from_state_dict({**PruneState().state_dict(), "version": 99})


def test_a_detached_copy_is_deep() -> None:
    weight = nn.Parameter(torch.ones(2))
    value = {"a": [weight, (weight, 3)], "b": "text"}
    copied = detached_copy(value)
    with torch.no_grad():
        weight.zero_()
    assert copied["a"][0].tolist() == [1, 1]
    assert copied["a"][1][0].tolist() == [1, 1]
    assert not copied["a"][0].requires_grad
    assert isinstance(copied["a"][1], tuple)


@pytest.mark.parametrize(
    ("make", "by_element"),
    [
        (lambda p: optim.Adam(p), True),
        (lambda p: optim.SGD(p, momentum=0.9), True),
        (lambda p: optim.Adafactor(p), False),
    ],
)
def test_memory_that_is_not_by_element_is_reported(
    make: Callable[[Any], optim.Optimizer], by_element: bool
) -> None:
    made = network(optimizer=lambda model: make(model.parameters()))
    train_once(made)
    weight = made.model.get_parameter("fc1.weight")
    assert mask_memory(made.optimizers[0], {weight: torch.ones_like(weight)}) is by_element
