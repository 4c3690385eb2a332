"""The contract of every criterion and every allocation: exact, repeatable, never growing back."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from pruneflow.network import Network
from pruneflow.pruning import masks
from pruneflow.pruning.allocation import ALLOCATIONS, Guard
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.scope import Layer, find_layers
from pruneflow.state import PruneState
from pruneflow.timeline import exact
from tests.contract.gathering import gather
from tests.loop import bits
from tests.strategies import DTYPES, layer_lists, sparsities, weights

LAYERS = [(7, 9), (5, 7), (3, 5)]

criteria = pytest.mark.parametrize("criterion", list(CRITERIA))
allocations = pytest.mark.parametrize("allocation", list(ALLOCATIONS))
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def network(dtype: torch.dtype = torch.float32) -> Network:
    """Weights with many ties, on scales far apart."""
    model = nn.Sequential(*(nn.Linear(columns, rows) for rows, columns in LAYERS))
    with torch.no_grad():
        for scale, parameter in enumerate(model.parameters()):
            parameter.copy_((torch.randn(parameter.shape) * 4).round() / 4 * 2**scale)
    return Network(model.to(dtype), [], [], PruneState(), 0)


def prune(made: Network, criterion: str, allocation: str, sparsity: float) -> dict[str, int]:
    layers = find_layers(made.model)
    quota = ALLOCATIONS[allocation](layers, sparsity, Guard())
    gather(made, criterion)
    made.prune([layer.name for layer in layers], quota, criterion)
    assert sum(made.zeros.values()) == quota.zeros
    assert all(made.zeros[name] <= cap for name, cap in quota.caps.items())
    return made.zeros


@dtypes
@criteria
@allocations
def test_counts_are_exact_and_masks_are_nested(
    allocation: str, criterion: str, dtype: torch.dtype
) -> None:
    made = network(dtype)
    before = {name: torch.ones(shape) for name, shape in zip(("0", "1", "2"), LAYERS, strict=True)}
    for step, sparsity in enumerate((0.0, 0.3, 0.55, 0.8)):
        made.state.clock = step
        zeros = prune(made, criterion, allocation, sparsity)
        # A rounding for each layer where each is rounded by itself, else one for all.
        assert abs(sum(zeros.values()) - sparsity * 113) <= 0.5 * len(LAYERS)
        for name, mask in made.state.masks.items():
            key = name.removesuffix(".weight")
            assert set(mask.unique().tolist()) <= {0.0, 1.0}
            assert bool((mask.float() <= before[key]).all())
            before[key] = mask.float()


@criteria
@allocations
def test_the_same_event_makes_the_same_masks(allocation: str, criterion: str) -> None:
    made = []
    for noise in range(2):
        torch.manual_seed(1)
        made.append(network())
        torch.manual_seed(noise)  # the caller's generator is no input
        prune(made[-1], criterion, allocation, 0.5)
    assert bits(made[0].state.masks) == bits(made[1].state.masks)


@criteria
@allocations
def test_chunks_do_not_show(
    allocation: str, criterion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    whole = network()
    prune(whole, criterion, allocation, 0.5)
    monkeypatch.setattr(masks, "CHUNK", 16)
    torch.manual_seed(1)
    parts = network()
    prune(parts, criterion, allocation, 0.5)
    assert bits(whole.state.masks) == bits(parts.state.masks)


@criteria
@given(weights())
def test_scores_are_numbers_one_for_each_weight_and_leave_it_alone(
    criterion: str, chunk: torch.Tensor
) -> None:
    before = bits(chunk)
    scores = CRITERIA[criterion](chunk, torch.Generator().manual_seed(0))
    assert scores.shape == chunk.shape
    assert not bool(scores.isnan().any())
    assert bits(chunk) == before


@allocations
@given(layer_lists(), sparsities(), st.integers(0, 5))
def test_quotas_can_be_met(
    allocation: str, layers: Sequence[Layer], sparsity: float, least: int
) -> None:
    guard = Guard(0.95, least)
    kept = {layer.name: layer.size - min(least, layer.size) for layer in layers}
    most = {layer.name: min(kept[layer.name], int(exact(0.95) * layer.size)) for layer in layers}
    assume(all(ceil(exact(sparsity) * layer.size) <= most[layer.name] for layer in layers))
    quota = ALLOCATIONS[allocation](layers, sparsity, guard)
    assert list(quota.caps) == [layer.name for layer in layers]
    assert 0 <= quota.zeros <= sum(quota.caps.values())
    assert all(cap <= most[name] for name, cap in quota.caps.items())
    if quota.layers is not None:
        assert sum(quota.layers.values()) == quota.zeros


@allocations
@given(layer_lists(), sparsities(), sparsities())
def test_a_higher_sparsity_takes_no_layer_back(
    allocation: str, layers: Sequence[Layer], one: float, other: float
) -> None:
    low, high = (ALLOCATIONS[allocation](layers, s, Guard(1.0, 0)) for s in sorted((one, other)))
    assert low.zeros <= high.zeros
    if low.layers is not None and high.layers is not None:
        assert all(low.layers[name] <= high.layers[name] for name in low.layers)


@criteria
def test_it_is_documented(criterion: str) -> None:
    assert (CRITERIA[criterion].__doc__ or "").strip()


@allocations
def test_an_allocation_is_documented(allocation: str) -> None:
    assert (ALLOCATIONS[allocation].__doc__ or "").strip()
