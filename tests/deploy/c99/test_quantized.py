"""C code that computes in bytes gives the bits of the integer reference, for every network."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.c99.layout import NO_FRAME
from pruneflow.deploy.c99.program import FRAMED_INPUT
from pruneflow.deploy.c99.quantized.reference import outputs_of, quantize
from pruneflow.deploy.c99.self_test import self_test_of
from pruneflow.deploy.c99.weights import LAYOUTS
from tests.deploy.c99.code import COMPILERS, Case, Library, compiled, write
from tests.deploy.c99.integers import (
    IntegerCase,
    integer_cases,
    with_softmax,
    written_for_integers,
)
from tests.deploy.c99.test_parity import AS_SHIPPED, QUICKLY, conv, network, require_law
from tests.deploy.c99.test_sanitized import (
    Mixed,
    known,
    needs_sanitizers,
    require_clean,
    run,
)
from tests.deploy.networks import lenet5, small_resnet


@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=5)
@given(st.lists(integer_cases(), min_size=1, max_size=10))
def test_c_code_is_the_reference(compiler: str, drawn: list[Case]) -> None:
    require_law(drawn, compiler, *QUICKLY)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=12)
@given(st.lists(integer_cases(8), min_size=6, max_size=12))
def test_c_code_is_the_reference_for_hundreds(compiler: str, drawn: list[Case]) -> None:
    require_law(drawn, compiler, *AS_SHIPPED)


def mixed(layout: str) -> IntegerCase:
    """A little of everything, a softmax at its end."""
    return IntegerCase(written_for_integers(known(Mixed(), 3, 17, 21)), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_known_networks_are_the_reference(layout: str) -> None:
    resnet = IntegerCase(known(small_resnet(), 3, 16, 16), layout)
    require_law([mixed(layout), resnet], "cc", *QUICKLY)


@pytest.mark.parametrize("compiler", COMPILERS)
@settings(max_examples=3)
@given(st.lists(integer_cases(), min_size=1, max_size=5), st.floats(0.1, 1e6))
def test_inputs_beyond_the_range_are_the_nearest_in_it(
    compiler: str, drawn: list[IntegerCase], factor: float
) -> None:
    units = [case.unit(f"n{i}") for i, case in enumerate(drawn)]
    library = Library(units, compiler, "-O1")
    for unit, case in zip(units, drawn, strict=True):
        inputs = factor * case.network.inputs(2)
        found = library.run(unit.name, inputs)
        torch.testing.assert_close(found, outputs_of(unit, inputs), rtol=1e-5, atol=1e-30)


def test_what_is_no_number_is_the_lowest_byte() -> None:
    case = IntegerCase(network((3, 4, 4), conv("c", "input", "w"), w=(2, 3, 3, 3)))
    unit = case.unit()
    inputs = case.network.inputs(1)
    inputs.view(-1)[::5] = torch.nan
    inputs.view(-1)[1::5] = torch.inf
    inputs.view(-1)[2::5] = -torch.inf
    found = Library([unit]).run("net", inputs)
    torch.testing.assert_close(found, outputs_of(unit, inputs), rtol=0, atol=0)


@needs_sanitizers
@settings(max_examples=3)
@given(st.lists(integer_cases(), min_size=1, max_size=6))
def test_drawn_networks_stay_in_their_arrays(drawn: list[Case]) -> None:
    require_clean(drawn)


@needs_sanitizers
@pytest.mark.slow
@settings(max_examples=12)
@given(st.lists(integer_cases(8), min_size=6, max_size=10))
def test_hundreds_of_drawn_networks_stay_in_their_arrays(drawn: list[Case]) -> None:
    require_clean(drawn)


@needs_sanitizers
def test_known_networks_stay_in_their_arrays() -> None:
    require_clean([mixed("csr16"), mixed("gaps8")])


# -- its two entrances -----------------------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 1])
def test_an_input_in_bytes_gives_the_same(padding: int) -> None:
    node = conv("c", "input", "w", padding=[padding, padding])
    case = IntegerCase(with_softmax(network((2, 6, 5), node, w=(4, 2, 3, 3))))
    unit, inputs = case.unit(), case.network.inputs(3)
    library = Library([unit])
    given = quantize(inputs.numpy(), unit.quantities[unit.given]).astype(np.int8)
    function, memory = library.handle["net_run_int8"], library.memory("net")
    found = np.full((3, unit.outputs), np.nan, np.float32)
    for x, y in zip(given, found, strict=True):
        x = np.ascontiguousarray(x)
        function(*(part.ctypes.data_as(ctypes.c_void_p) for part in (memory, x, y)))
    assert torch.equal(torch.from_numpy(found), library.run("net", inputs))
    header = Path("library/net.h").read_text()
    assert f"#define NET_INPUT_ZERO ({unit.quantities[unit.given].zero})\n" in header
    assert f"int8_t numbers[{unit.memory.size}]" in header


def test_a_frame_holds_the_byte_of_zero() -> None:
    case = IntegerCase(network((2, 6, 5), conv("c", "input", "w"), w=(2, 2, 3, 3)))
    unit, inputs = case.unit(), case.network.inputs(1) + 2
    library = Library([unit])
    memory = library.memory("net")
    library.run("net", inputs, memory)
    quantity, buffer = unit.quantities[FRAMED_INPUT], unit.memory.results[FRAMED_INPUT]
    layout = unit.program.layouts[FRAMED_INPUT]
    assert layout.frame != NO_FRAME
    assert quantity.zero not in (0, -128)
    held = memory.view(np.int8)[buffer.offset :][: buffer.size]
    wanted = np.full(layout.size, quantity.zero, np.int8)
    for place, byte in np.ndenumerate(quantize(inputs.numpy()[0], quantity)):
        wanted[layout.lead + place[0] * layout.plane + place[1] * layout.pitch + place[2]] = byte
    np.testing.assert_array_equal(held, wanted)


def test_a_workspace_is_of_bytes() -> None:
    case = known(lenet5(), 1, 28, 28)
    floats, integers = Case(case, "gaps8", "int8").unit(), IntegerCase(case, "gaps8").unit()
    assert integers.workspace_bytes == integers.memory.size
    assert integers.workspace_bytes < floats.workspace_bytes / 3


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_self_test_passes_and_fails_by_a_step(compiler: str) -> None:
    case = mixed("gaps8")
    inputs = case.network.inputs(4)
    right = case.right(inputs)
    folder = Path("tested")
    write(case.unit(), folder)
    for off, code in ((0.0, 0), (1e-3, 1)):
        text = self_test_of(case.unit(), inputs, right.outputs + off, float(right.bound.max()))
        (folder / "net_test.c").write_text(text)
        compiled(compiler, folder, "-O1", "net.c", "net_test.c", "-o", "it", "-lm")
        assert run(folder / "it").returncode == code
