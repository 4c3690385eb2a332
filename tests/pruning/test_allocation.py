"""Laws of allocations: whole numbers, exact totals, no dead layer; the formulas of papers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota
from pruneflow.pruning.scope import Layer
from pruneflow.timeline import exact
from tests.strategies import layer_lists, sparsities

LENET = [
    Layer("fc1.weight", ("Linear",), (300, 784), "input"),
    Layer("fc2.weight", ("Linear",), (100, 300)),
    Layer("output.weight", ("Linear",), (10, 100), "output"),
]
OFF = Guard(1.0, 0)


def one_big_and_nine_single_weights() -> list[Layer]:
    shapes = [(1000, 1)] + [(1, 1)] * 9
    return [Layer(f"fc{i}.weight", ("Linear",), shape) for i, shape in enumerate(shapes)]


@given(layer_lists(), sparsities())
@example(one_big_and_nine_single_weights(), 0.9)
def test_the_default_guard_is_feasible_while_a_weight_a_layer_is_left(
    layers: list[Layer], sparsity: float
) -> None:
    size = sum(layer.size for layer in layers)
    assume(exact(sparsity) < 1 - Fraction(len(layers), size))
    quota = ALLOCATIONS["global"](layers, sparsity, Guard())
    assert quota.zeros == round(exact(sparsity) * size)
    assert quota.zeros <= sum(quota.caps.values())
    assert all(quota.caps[layer.name] < layer.size for layer in layers)


@given(layer_lists(), sparsities())
def test_the_default_guard_keeps_no_more_than_one_weight_a_row(
    layers: list[Layer], sparsity: float
) -> None:
    for layer in layers:
        kept = layer.size - Guard().caps(layers, sparsity)[layer.name]
        assert 1 <= kept <= layer.rows


def test_the_default_guard_keeps_a_row_alive_where_it_can() -> None:
    caps = Guard().caps(LENET, 0.98)
    assert caps == {"fc1.weight": 235_200 - 300, "fc2.weight": 29_900, "output.weight": 990}


@given(layer_lists(), sparsities(), st.floats(0, 1), st.integers(0, 50))
def test_an_explicit_guard_is_kept_to_the_letter(
    layers: list[Layer], sparsity: float, most: float, least: int
) -> None:
    caps = Guard(most, least).caps(layers, sparsity)
    for layer in layers:
        assert caps[layer.name] <= exact(most) * layer.size
        assert layer.size - caps[layer.name] >= min(least, layer.size)
        one_more = caps[layer.name] + 1
        assert one_more > exact(most) * layer.size or layer.size - one_more < least


def test_a_guard_that_forbids_the_sparsity_says_how_much_it_allows() -> None:
    with pytest.raises(ValueError, match="allows at most 133,100"):
        ALLOCATIONS["global"](LENET, 0.9, Guard(0.5))
    with pytest.raises(ValueError, match=r"'output\.weight'.*max_layer_sparsity or"):
        ALLOCATIONS["per_layer"](LENET, {"output": 0.99, "default": 0.5}, Guard(0.98))


@given(layer_lists(), sparsities())
def test_uniform_is_pythons_round_in_every_layer(layers: list[Layer], sparsity: float) -> None:
    quota = ALLOCATIONS["uniform"](layers, sparsity, OFF)
    assert quota.layers == {layer.name: round(exact(sparsity) * layer.size) for layer in layers}
    assert quota.zeros == sum(quota.layers.values())
    assert quota == ALLOCATIONS["per_layer"](layers, sparsity, OFF)


@given(layer_lists(), sparsities(), sparsities())
def test_per_layer_takes_the_first_pattern_that_fits(
    layers: list[Layer], role: float, default: float
) -> None:
    shares = {"output": role, "fc*": default}
    quota = ALLOCATIONS["per_layer"](layers, shares, OFF)
    assert quota.layers is not None
    for layer in layers:
        share = role if layer.role == "output" else default
        assert quota.layers[layer.name] == round(exact(share) * layer.size)


@pytest.mark.parametrize("allocation", ["global", "uniform", "erk", "lamp"])
def test_one_number_is_asked_for_where_one_is_meant(allocation: str) -> None:
    with pytest.raises(ValueError, match=rf"'{allocation}' takes one.*allocation: per_layer"):
        ALLOCATIONS[allocation](LENET, {"default": 0.5}, Guard())


def test_a_fixed_quota_sums_its_layers_and_caps_them() -> None:
    assert Quota.fixed({"a": 1, "b": 2}) == Quota(3, {"a": 1, "b": 2}, {"a": 1, "b": 2})


def test_lamp_is_the_quota_of_global_with_other_scores() -> None:
    one, other = (ALLOCATIONS[name](LENET, 0.9, Guard()) for name in ("global", "lamp"))
    assert replace(one, lamp=True) == other


# -- erk: Evci et al. 2020, arXiv:1911.11134 -------------------------------------------------


def erk_densities(layers: list[Layer], density: Fraction) -> list[Fraction]:
    """Word for word: scale the densities; while one passes 1, make the highest ones dense."""
    raw = [Fraction(sum(layer.shape), layer.size) for layer in layers]
    dense: set[int] = set()
    while len(dense) < len(layers):
        whole = sum(layer.size for layer in layers)
        left = density * whole - sum(layers[i].size for i in dense)
        scale = left / sum(raw[i] * layers[i].size for i in range(len(raw)) if i not in dense)
        highest = max(raw[i] for i in range(len(raw)) if i not in dense)
        if scale * highest <= 1:
            break
        dense |= {i for i in range(len(raw)) if raw[i] == highest}
    return [Fraction(1) if i in dense else scale * raw[i] for i in range(len(raw))]


def test_erk_of_lenet_300_100_is_what_it_is_by_hand() -> None:
    # 26,620 weights are left. In proportion to 1084 : 400 : 110 the output would have 1837 of its
    # 1000, so it is dense, and 25,620 are 1084 : 400, which is 18714.3 to 6905.7.
    quota = ALLOCATIONS["erk"](LENET, 0.9, Guard())
    kept = {"fc1.weight": 18_714, "fc2.weight": 6906, "output.weight": 1000}
    assert quota == Quota.fixed({layer.name: layer.size - kept[layer.name] for layer in LENET})
    # 5324 are left: 3620.6, 1336.0, 367.4.
    quota = ALLOCATIONS["erk"](LENET, 0.98, Guard())
    kept = {"fc1.weight": 3621, "fc2.weight": 1336, "output.weight": 367}
    assert quota == Quota.fixed({layer.name: layer.size - kept[layer.name] for layer in LENET})


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.9, 0.95, 0.99])
def test_erk_counts_the_window_of_a_convolution(sparsity: float) -> None:
    shapes = [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    lenet5 = [Layer(f"{at}.weight", ("Conv2d",), shape) for at, shape in enumerate(shapes)]
    quota = ALLOCATIONS["erk"](lenet5, sparsity, Guard())
    assert quota.layers is not None
    for layer, density in zip(lenet5, erk_densities(lenet5, 1 - exact(sparsity)), strict=True):
        assert abs(layer.size - quota.layers[layer.name] - density * layer.size) < 1


@given(layer_lists(), sparsities())
def test_erk_is_the_papers_but_for_roundings(layers: list[Layer], sparsity: float) -> None:
    quota = ALLOCATIONS["erk"](layers, sparsity, OFF)
    assert quota.layers is not None
    assert quota.zeros == round(exact(sparsity) * sum(layer.size for layer in layers))
    for layer, density in zip(layers, erk_densities(layers, 1 - exact(sparsity)), strict=True):
        kept = layer.size - quota.layers[layer.name]
        assert abs(kept - density * layer.size) <= max(1, len(layers) / 2)


@pytest.mark.parametrize("guard", [Guard(), Guard(0.9, 2), Guard(1.0, 0)], ids=str)
@given(layer_lists(), sparsities(0.9), sparsities(0.9))
def test_erk_takes_no_layer_back_whatever_the_guard(
    guard: Guard, layers: list[Layer], one: float, other: float
) -> None:
    try:
        low, high = (ALLOCATIONS["erk"](layers, s, guard).layers for s in sorted((one, other)))
    except ValueError:
        return  # the guard forbids the sparsity
    assert low is not None
    assert high is not None
    assert all(low[name] <= high[name] for name in low)


def test_erk_moves_what_a_guard_keeps_to_the_others() -> None:
    quota = ALLOCATIONS["erk"](LENET, 0.8, Guard(0.82))
    assert quota.layers is not None
    assert quota.layers["fc1.weight"] == 192_864  # 82 %, where it would be 83.8 %
    assert quota.layers["output.weight"] == 0
    assert quota.zeros == 212_960
    with pytest.raises(ValueError, match=r"0\.9 is more than the guard.* allows, 0\.82"):
        ALLOCATIONS["erk"](LENET, 0.9, Guard(0.82))


def test_erk_keeps_a_weight_in_every_layer() -> None:
    quota = ALLOCATIONS["erk"](one_big_and_nine_single_weights(), 0.99, Guard())
    assert quota.layers is not None
    assert all(zeros == 0 for name, zeros in quota.layers.items() if name != "fc0.weight")
    assert quota.layers["fc0.weight"] == quota.zeros == 999


def test_what_remains_of_a_quota_is_what_is_not_removed_yet() -> None:
    caps = {"a": 8, "b": 8}
    left = Quota(9, None, caps).remaining({"a": 3}, {"b": 4})
    assert left == Quota(6, None, {"a": 5, "b": 8})
    assert Quota.fixed({"a": 5, "b": 4}).remaining({"a": 3}, {"b": 4}).layers == {"a": 2, "b": 4}
    assert Quota(7, None, caps).remaining({"a": 3}, {"b": 4}).zeros == 4
    with pytest.raises(ValueError, match="7 are gone already, and 6 may be"):
        Quota(6, None, caps).remaining({"a": 3}, {"b": 4})
    with pytest.raises(ValueError, match="of 'b' 9 are gone already, and 8 may be"):
        Quota(16, None, caps).remaining({"b": 5}, {"b": 4})
    with pytest.raises(ValueError, match="of 'a' 3 are gone already, and 2 may be"):
        Quota.fixed({"a": 2, "b": 8}).remaining({"a": 3}, {})
