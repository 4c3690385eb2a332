"""Laws of allocations: whole numbers, exact totals, no dead layer."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pruneflow.pruning.allocation import ALLOCATIONS, Guard, Quota, spread
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


@pytest.mark.parametrize("allocation", ["global", "uniform"])
def test_one_number_is_asked_for_where_one_is_meant(allocation: str) -> None:
    with pytest.raises(ValueError, match="allocation: per_layer"):
        ALLOCATIONS[allocation](LENET, {"default": 0.5}, Guard())


def test_a_fixed_quota_sums_its_layers_and_caps_them() -> None:
    assert Quota.fixed({"a": 1, "b": 2}) == Quota(3, {"a": 1, "b": 2}, {"a": 1, "b": 2})


SHARES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 1000), min_size=1)


@given(SHARES, st.data())
def test_spread_is_exact_and_within_one_of_the_proportion(
    shares: dict[str, int], data: st.DataObject
) -> None:
    whole = sum(shares.values())
    total = data.draw(st.integers(0, whole))
    parts = spread(total, shares)
    assert sum(parts.values()) == total
    for name, share in shares.items():
        assert parts[name] <= share
        if whole:
            assert abs(parts[name] - Fraction(total * share, whole)) < 1


def test_spread_gives_the_rest_to_the_largest_remainder_then_to_the_first() -> None:
    assert spread(4, {"a": 10, "b": 25, "c": 15}) == {"a": 1, "b": 2, "c": 1}
    assert spread(1, {"a": 5, "b": 5}) == {"a": 1, "b": 0}
