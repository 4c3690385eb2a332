"""Laws of the built-in criteria; those of every criterion are in ``tests/contract``."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given

from pruneflow.network import Network
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.state import PruneState
from tests.loop import small_net
from tests.strategies import weights


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int = 0, clock: int = 0) -> Network:
    return Network(small_net(), [], [], PruneState(clock=clock), seed)


def random_masks(seed: int = 0, clock: int = 0) -> dict[str, list[float]]:
    made = network(seed, clock)
    names = ("fc1.weight", "fc2.weight")
    made.prune(names, Quota.fixed({"fc1.weight": 24, "fc2.weight": 20}), "random")
    return {name: made.state.masks[name].reshape(-1).tolist() for name in names}


@given(weights())
def test_magnitude_is_the_absolute_value(chunk: torch.Tensor) -> None:
    scores = CRITERIA["magnitude"](chunk, generator())
    assert scores.tolist() == [abs(value) for value in chunk.tolist()]
    assert scores.dtype is chunk.dtype


@given(weights())
def test_random_does_not_look_at_the_weights(chunk: torch.Tensor) -> None:
    scores = CRITERIA["random"](chunk, generator())
    other = CRITERIA["random"](torch.ones_like(chunk), generator())
    assert torch.equal(scores, other)
    assert scores.shape == chunk.shape


def test_random_draws_anew_for_every_seed_and_every_step_and_alike_for_the_same() -> None:
    drawn = [random_masks(seed, clock) for seed in (0, 1) for clock in (0, 5)]
    assert len({tuple(masks["fc1.weight"]) for masks in drawn}) == 4
    assert random_masks(1, 5) == drawn[3]


def test_random_draws_anew_for_every_layer() -> None:
    masks = random_masks(0, 0)
    alike = [name for name in masks if masks[name][:15] == masks["fc1.weight"][:15]]
    assert alike == ["fc1.weight"]


def test_random_leaves_the_callers_random_numbers_alone() -> None:
    made = network()
    before = torch.get_rng_state()
    made.prune(["fc1.weight"], Quota.fixed({"fc1.weight": 24}), "random")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_random_is_uniform_over_layers_whatever_their_weights(scale: float) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(100, 100), torch.nn.Linear(100, 300))
    with torch.no_grad():
        model[0].weight.mul_(scale)
    made = Network(model, [], [], PruneState(), 0)
    sizes = {"0.weight": 10_000, "1.weight": 30_000}
    made.prune(list(sizes), Quota(20_000, None, sizes), "random")
    # Hypergeometric: zeros in the first layer have mean 5000 and this standard deviation.
    deviation = math.sqrt(20_000 * 0.25 * 0.75 * (40_000 - 20_000) / (40_000 - 1))
    assert abs(made.zeros["0.weight"] - 5000) < 5 * deviation
    assert sum(made.zeros.values()) == 20_000
