"""The arithmetic of bytes: against exact fractions, and against the network in floats."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from fractions import Fraction
from math import floor, inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.c99.functions import FOLDER
from pruneflow.deploy.c99.quantized.quantities import HIGHEST, LOWEST, Quantity
from pruneflow.deploy.c99.quantized.ranges import ranges_of
from pruneflow.deploy.c99.quantized.reference import dequantize, outputs_of, quantize
from pruneflow.deploy.c99.quantized.rescaling import BITS, MOST_SUM, Fixed, Rescale, divided, steps
from pruneflow.deploy.c99.quantized.rows import COARSEST
from pruneflow.deploy.graphs.executor import GraphModule
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import Value
from pruneflow.errors import DeployError
from tests.deploy.c99.code import compiled
from tests.deploy.c99.integers import IntegerCase
from tests.deploy.c99.test_parity import conv, network
from tests.deploy.networks import Network

SUMS = st.integers(-MOST_SUM, MOST_SUM)
REALS = st.floats(2.0**-20, 1, exclude_max=True)

# -- factors ---------------------------------------------------------------------------------


@given(SUMS, REALS)
def test_a_product_is_the_exact_one_rounded_down(total: int, real: float) -> None:
    one = Rescale.of(real)
    assert 1 << (BITS - 1) <= one.factor < 1 << BITS
    assert one.shift >= 0
    assert abs(one.real / real - 1) <= 2.0**-BITS
    found = steps(np.array(total), np.array(one.factor), np.array(one.shift))
    exact = Fraction(max(total, 0)) * one.factor / (1 << (BITS + one.shift))
    assert found == floor(exact)


@given(st.lists(st.tuples(SUMS, REALS), min_size=1, max_size=50))
def test_c_has_the_same_product(drawn: list[tuple[int, float]]) -> None:
    function = c_steps()
    for total, real in [*drawn, (MOST_SUM, 1 - 2.0**-30), (2**31 - 1, 1 - 2.0**-30)]:
        one = Rescale.of(real)
        found = steps(np.array(total), np.array(one.factor), np.array(one.shift))
        assert function(total, one.factor, one.shift) == found


def c_steps() -> Any:
    """The C function, compiled once for each test."""
    if not Path("steps.so").exists():
        text = (FOLDER / "int8_steps.c").read_text()
        head = "#include <stdint.h>\nuint32_t steps(int32_t, uint32_t, uint32_t);\n"
        body = "uint32_t steps(int32_t s, uint32_t f, uint32_t n) { return int8_steps(s, f, n); }\n"
        Path("steps.c").write_text(head + text + body)
        compiled("cc", Path(), "-O1", "-shared", "-fPIC", "steps.c", "-o", "steps.so")
    function = ctypes.CDLL(str(Path("steps.so").absolute())).steps
    function.restype = ctypes.c_uint32
    return function


@given(st.lists(st.floats(2.0**-25, 2.0**15), min_size=1, max_size=2), st.sampled_from([16, 20]))
def test_factors_with_one_point_are_as_near_as_their_bits_allow(
    reals: list[float], bits: int
) -> None:
    fixed = Fixed.of(*reals, bits=bits)
    assert all(0 <= factor < 1 << bits for factor in fixed.factors)
    for real, factor in zip(reals, fixed.factors, strict=True):
        assert abs(factor / 2**fixed.shift - real) <= max(
            1, max(reals) * 2.0 ** (fixed.shift - bits)
        )
    assert all(255 * factor < MOST_SUM for factor in fixed.factors)


@given(st.integers(-10_000, 10_000), st.integers(1, 500))
def test_a_quotient_is_the_nearest_and_halves_go_away_from_zero(value: int, by: int) -> None:
    exact = Fraction(value, by)
    nearest = floor(abs(exact) + Fraction(1, 2)) * (-1 if value < 0 else 1)
    assert divided(np.array(value), np.array(by)) == nearest


# -- quantities ------------------------------------------------------------------------------


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.sampled_from([0.0, 1e-6, 3.0]))
def test_a_quantity_has_zero_and_its_range_to_half_a_step(
    low: float, width: float, least: float
) -> None:
    high = low + width
    one = Quantity.of((low, high), least)
    assert LOWEST <= one.zero <= HIGHEST
    assert one.scale > least
    assert np.float32(one.scale) == one.scale
    ends = np.array([min(low, 0), 0, max(high, 0)], np.float32)
    back = dequantize(quantize(ends, one), one)
    assert back[1] == 0
    np.testing.assert_allclose(back, ends, atol=0.5001 * one.scale)
    assert one.zero == LOWEST or low < 0


def test_what_is_never_negative_has_the_lowest_byte_for_zero() -> None:
    assert Quantity.of((0.0, 5.1)) == Quantity(float(np.float32(5.1 / 255)), -128)
    assert Quantity.of((2.0, 5.1)).zero == -128
    assert Quantity.of((-5.1, -1.0)).zero == 127
    assert Quantity.of((0.0, 0.0)) == Quantity(1.0, -128)


@given(st.floats(0.01, 100), st.integers(LOWEST, HIGHEST), st.sampled_from(["relu", "relu6"]))
def test_limits_are_the_bytes_of_an_activation(scale: float, zero: int, activation: str) -> None:
    one = Quantity(float(np.float32(scale)), zero)
    low, high = one.limits(activation)
    every = np.arange(LOWEST, HIGHEST + 1)
    reals = torch.from_numpy(dequantize(every, one))
    right = getattr(torch.nn.functional, activation)(reals).numpy()
    np.testing.assert_allclose(
        dequantize(every.clip(low, high), one), right, atol=scale / 2 * 1.001
    )
    assert one.limits(None) == (LOWEST, HIGHEST)


@given(st.floats(width=32), st.floats(-3, 0), st.floats(0.5, 3))
def test_quantizing_takes_the_nearest_byte(number: float, low: float, high: float) -> None:
    one = Quantity.of((low, high))
    found = int(quantize(np.array([number], np.float32), one)[0])
    if number != number or number == -inf:
        assert found == LOWEST
    elif number == inf:
        assert found == HIGHEST
    else:
        exact = float(Fraction(number) / Fraction(one.scale)) + one.zero
        assert abs(found - min(max(exact, LOWEST), HIGHEST)) <= 0.501


# -- calibration -----------------------------------------------------------------------------

TWO = Network(
    Graph((2,), (Node("l", "linear", (INPUT,), "w"), Node("r", "relu", ("l",))), "r"),
    {"w": torch.tensor([[1.0, -2.0]])},
)


def test_ranges_are_the_least_and_the_largest_of_all_batches() -> None:
    batches = [torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([[-4.0, 0.5]])]
    found: dict[str, Any] = ranges_of(TWO.graph, TWO.tensors, batches)
    assert found == {INPUT: (-4.0, 3.0), "l": (-5.0, 1.0), "r": (0.0, 1.0)}


def test_there_have_to_be_inputs_and_they_have_to_be_finite() -> None:
    with pytest.raises(DeployError, match="no inputs to calibrate"):
        ranges_of(TWO.graph, TWO.tensors, [])
    with pytest.raises(DeployError, match="l is not finite"):
        ranges_of(TWO.graph, TWO.tensors, [torch.tensor([[3e38, -3e38]])])


# -- against floats --------------------------------------------------------------------------


def pool(op: str, **options: Value) -> Node:
    """A pool of 3 x 3."""
    window: dict[str, Value] = {"kernel": [3, 3], "stride": [2, 2], "padding": [1, 1]}
    return Node("p", op, (INPUT,), options=window | {"ceil_mode": True} | options)


CONV, FLAT = conv("y", INPUT, "w", "c"), Node("f", "flatten", (INPUT,))
SINGLE: dict[str, tuple[tuple[Node, ...], bool, int]] = {
    "linear": ((FLAT, Node("y", "linear", ("f",), "v", "c")), True, 0),
    "convolution": ((CONV,), True, 0),
    "with relu": ((CONV, Node("r", "relu", ("y",))), True, 0),
    "with relu6": ((CONV, Node("r", "relu6", ("y",))), True, 0),
    "with a sum": ((CONV, Node("a", "add", ("y", INPUT)), Node("r", "relu", ("a",))), True, 1),
    "with a pool": ((CONV, replace(pool("max_pool2d", dilation=[1, 1]), inputs=("y",))), True, 0),
    "sum": ((Node("a", "add", (INPUT, INPUT)),), False, 2),
    "relu": ((Node("r", "relu", (INPUT,)),), False, 1),
    "relu6": ((Node("r", "relu6", (INPUT,)),), False, 1),
    "most": ((pool("max_pool2d", dilation=[1, 1]),), False, 1),
    "mean": ((pool("avg_pool2d", count_include_pad=False),), False, 1),
    "mean with zeros": ((pool("avg_pool2d", count_include_pad=True),), False, 1),
    "mean of all": ((Node("p", "global_avg_pool", (INPUT,)),), False, 1),
}
"""Nodes, whether weights multiply the input, and how often it is added to what they make of it."""


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0])
def test_an_operation_is_near_the_one_in_floats(name: str, shift: float) -> None:
    """Half a step of the input, as often as it counts, and half a step of the result."""
    nodes, is_weighted, added = SINGLE[name]
    one = network((3, 6, 6), *nodes, w=(3, 3, 3, 3), v=(3, 108), c=(3,))
    inputs = one.inputs(6) + shift
    case = IntegerCase(one, inputs=(inputs,))
    unit = case.unit()
    right = GraphModule(one.graph, case.stored)(inputs).flatten(1)
    weight = case.stored["v" if name == "linear" else "w"] if is_weighted else torch.zeros(1, 1)
    gain = added + float(weight.abs().flatten(1).sum(1).max())
    written = unit.program.passes[-1].input
    step = 0.0 if name == "linear" else unit.quantities[written].scale
    bound = gain * unit.shown[INPUT].scale / 2 + step * (1 + COARSEST) / 2
    error = (outputs_of(unit, inputs) - right).abs()
    assert float(error.max()) <= 1.001 * bound
    assert step == 0 or float(right.abs().max()) > 20 * step


def test_rows_that_hardly_weigh_anything_are_their_bias() -> None:
    """As batch normalization leaves channels that are no longer needed."""
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    weight[1] *= 1e-12
    weight[2] = 0
    one = Network(
        Graph((8,), (Node("l", "linear", (INPUT,), "w", "b"), Node("r", "relu", ("l",)),
                     Node("m", "linear", ("r",), "e")), "m"),
        {"w": weight, "b": torch.tensor([0.1, 0.5, 0.7, -900.0]), "e": torch.eye(4)},
    )  # fmt: skip
    inputs = one.inputs(16)
    unit = IntegerCase(one, inputs=(inputs,)).unit()
    right = GraphModule(one.graph, one.tensors)(inputs)
    found = outputs_of(unit, inputs)
    assert float((found - right).abs().max()) <= 0.05
    half = unit.quantities["r"].scale * 0.501
    np.testing.assert_allclose(found[:, 1:].numpy(), right[:, 1:].numpy(), atol=half)


def test_sums_that_do_not_fit_are_refused_by_name() -> None:
    one = Network(
        Graph((70_000,), (Node("wide", "linear", (INPUT,), "w"),), "wide"),
        {"w": torch.ones(2, 70_000)},
    )
    case = IntegerCase(one, "gaps8")
    with pytest.raises(DeployError, match=r"sums of wide do not fit 32 bits.*70000 weights"):
        case.unit()
    pooled = Node("big", "avg_pool2d", (INPUT,), options={
        "kernel": [40, 40], "stride": [1, 1], "padding": [1, 1], "ceil_mode": False,
        "count_include_pad": False,
    })  # fmt: skip
    with pytest.raises(DeployError, match=r"sums of big do not fit 32 bits.* 40 x 40"):
        IntegerCase(network((1, 40, 40), pooled)).unit()
    whole = Node("big", "global_avg_pool", (INPUT,))
    assert IntegerCase(network((1, 40, 40), whole)).unit().outputs == 1
