"""Laws of the ledger: totals are exact, bounds contain what really happens, nothing grows back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pruneflow.network import Network
from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota
from pruneflow.pruning.scope import Layer
from pruneflow.recipe.ledger import Ledger
from pruneflow.state import PruneState
from tests.strategies import layer_lists, sparsities

A, B, C = (Layer(name, ("Linear",), (4, 5)) for name in "abc")


class Weights(nn.Module):
    """Random weights in the shapes of some layers, on scales far apart."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        for layer in layers:
            scale = 10.0 ** torch.randint(-3, 4, ()).item()
            module = nn.Module()
            module.weight = nn.Parameter(torch.randn(layer.shape) * scale)
            self.add_module(layer.name.removesuffix(".weight"), module)


Step = tuple[list[Layer], str, float]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Layer], list[Step]]:
    """Prunings of changing layers by changing allocations, as two recipes might mix them."""
    layers = draw(layer_lists(8, 8))
    steps = draw(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from(layers), min_size=1, unique_by=lambda x: x.name),
                st.sampled_from(("global", "uniform", "erk")),
                sparsities(),
            ),
            min_size=1,
            max_size=6,
        )
    )
    return layers, steps


@given(histories(), st.integers(0, 2**16))
def test_what_happens_is_what_the_ledger_said(
    history: tuple[list[Layer], list[Step]], seed: int
) -> None:
    layers, steps = history
    torch.manual_seed(seed)
    network = Network(Weights(layers), [], [], PruneState(), 0)
    ledger = Ledger(layers)
    for chosen, allocation, sparsity in steps:
        names = [layer.name for layer in chosen]
        try:
            quota = ALLOCATIONS[allocation](chosen, sparsity, Guard())
            ledger.prune(names, quota)
        except ValueError:
            break  # refused: nothing more is promised
        network.prune(names, quota, "magnitude")
        zeros = {layer.name: network.zeros.get(layer.name, 0) for layer in layers}
        assert sum(zeros[name] for name in names) == quota.zeros
        for name, count in zeros.items():
            assert ledger.low[name] <= count <= ledger.high[name]
        assert ledger.zeros in (None, sum(zeros.values()))
        low, high = ledger.bounds
        assert low <= sum(zeros.values()) <= high


@given(layer_lists(8, 8), st.lists(sparsities(), min_size=1, max_size=5))
def test_the_total_is_exact_while_the_layers_stay_the_same(
    layers: list[Layer], ramp: list[float]
) -> None:
    ledger, names = Ledger(layers), [layer.name for layer in layers]
    for sparsity in sorted(ramp):
        quota = ALLOCATIONS["global"](layers, sparsity, Guard(1.0, 0))
        ledger.prune(names, quota)
        assert ledger.zeros == quota.zeros
        assert ledger.bounds == (quota.zeros, quota.zeros)


def test_a_new_ledger_knows_that_nothing_is_pruned() -> None:
    ledger = Ledger([A, B])
    assert ledger.zeros == 0
    assert ledger.low == ledger.high == {"a": 0, "b": 0}


def test_fixed_layers_are_exact() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a"], Quota.fixed({"a": 7}))
    assert (ledger.zeros, ledger.low, ledger.high) == (7, {"a": 7, "b": 0}, {"a": 7, "b": 0})


def test_a_global_quota_bounds_every_layer_by_the_caps_of_the_others() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a", "b"], Quota(30, None, {"a": 18, "b": 15}))
    assert ledger.zeros == 30
    assert ledger.low == {"a": 15, "b": 12}
    assert ledger.high == {"a": 18, "b": 15}


def test_a_narrower_target_after_a_global_one_leaves_the_total_open() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a", "b"], Quota(10, None, {"a": 20, "b": 20}))
    ledger.prune(["a"], Quota.fixed({"a": 15}))
    assert ledger.zeros is None
    assert ledger.low == {"a": 15, "b": 0}
    assert ledger.high == {"a": 15, "b": 10}
    assert ledger.bounds == (15, 25)


def test_a_wider_target_closes_the_total_again() -> None:
    ledger = Ledger([A, B, C])
    ledger.prune(["a", "b"], Quota(10, None, {"a": 20, "b": 20}))
    ledger.prune(["b"], Quota.fixed({"b": 12}))
    assert ledger.zeros is None
    ledger.prune(["a", "b", "c"], Quota(40, None, {"a": 20, "b": 20, "c": 20}))
    assert ledger.zeros == 40


def test_pruned_weights_do_not_grow_back_in_a_layer() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a"], Quota.fixed({"a": 7}))
    with pytest.raises(ValueError, match="layer 'a' may hold 7 zeros by then, but this allows 6"):
        ledger.prune(["a"], Quota.fixed({"a": 6}))
    ledger.prune(["a"], Quota.fixed({"a": 7}))


def test_pruned_weights_do_not_grow_back_in_the_whole() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a", "b"], Quota(10, None, {"a": 20, "b": 20}))
    with pytest.raises(ValueError, match="asks for 9 zeros where 10 weights are pruned already"):
        ledger.prune(["a", "b"], Quota(9, None, {"a": 20, "b": 20}))


def test_a_cap_below_what_a_layer_may_already_hold_is_refused() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a", "b"], Quota(10, None, {"a": 20, "b": 20}))
    with pytest.raises(ValueError, match="layer 'a' may hold 10 zeros by then"):
        ledger.prune(["a", "b"], Quota(15, None, {"a": 9, "b": 20}))


def test_adopted_layers_may_hold_anything() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["b"], Quota.fixed({"b": 5}))
    ledger.adopt(["a"])
    assert ledger.zeros is None
    assert ledger.bounds == (5, 25)


def test_adopting_nothing_changes_nothing() -> None:
    ledger = Ledger([A, B])
    ledger.adopt([])
    assert ledger.zeros == 0


def test_a_global_quota_leaves_a_layer_what_the_others_do_not_hold_already() -> None:
    ledger = Ledger([A, B])
    ledger.prune(["a", "b"], Quota.fixed({"a": 5, "b": 6}))
    ledger.prune(["a", "b"], Quota(14, None, {"a": 20, "b": 7}))
    assert (ledger.low, ledger.high) == ({"a": 7, "b": 6}, {"a": 8, "b": 7})
