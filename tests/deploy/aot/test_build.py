"""What is compiled ahead of time is what Triton would compile for the same arguments."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

from pruneflow.deploy.aot.build import TYPES, build_of
from pruneflow.deploy.kernels.launch import Argument, Launch
from tests.deploy.aot import tiny


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Of any dtype and, by elements, any alignment."""
    dtype = draw(st.sampled_from(list(TYPES)))
    return torch.zeros(40, dtype=dtype)[draw(st.integers(0, 17)) :]


numbers = st.one_of(
    st.sampled_from([0, 1, -1, 15, 16, 17, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32]),
    st.integers(-(2**63), 2**63 - 1),
)
arguments = st.one_of(tensors(), numbers, st.floats(), st.booleans(), st.none())


def by_triton(launch: Launch) -> tuple[Any, ...]:
    """Types, constants and attributes as the just-in-time compiler finds them, with no driver."""
    function = JITFunction(launch.function.fn)
    backend = make_backend(GPUTarget("cuda", 90, 32))
    bind = create_function_from_signature(function.signature, function.params, backend)
    options = {"num_warps": launch.warps, "num_stages": launch.stages, "enable_fp_fusion": True}
    bound, specialised, _ = bind(**launch.arguments, **launch.constants, **options)
    _, types, constants, attributes = function._pack_args(
        backend, options, bound, specialised, options
    )
    return types, constants, {place: kind for place, kind in attributes.items() if kind}


@given(values=st.lists(arguments, min_size=6, max_size=6))
def test_types_and_constants_are_what_triton_finds(values: list[Argument]) -> None:
    names = list(inspect.signature(tiny.add.fn).parameters)
    constants = {"BLOCK": 32, "PAIRS": (1, 2)}
    launch = Launch(tiny.add, (1,), dict(zip(names[:6], values, strict=True)), constants)
    types, found, attributes = by_triton(launch)
    build = build_of(launch)
    assert {name: build.types.get(name, "constexpr") for name in names} == types
    assert list(build.types) == [name for name in names if types[name] != "constexpr"]
    assert {(names.index(name),): value for name, value in build.constants.items()} == found
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in build.aligned}
    assert aligned == attributes


def test_alignment_is_of_the_memory_not_of_where_it_happens_to_be() -> None:
    memory = torch.zeros(64, dtype=torch.uint8)
    off = next(i for i in range(1, 17) if (memory.data_ptr() + i) % 16)
    moved = torch.frombuffer(memory.numpy().data[off:], dtype=torch.uint8)
    assert moved.data_ptr() % 16
    launch = tiny.adding()
    changed = Launch(launch.function, (1,), {**launch.arguments, "x_ptr": moved}, launch.constants)
    assert "x_ptr" in build_of(changed).aligned


def test_what_decides_upon_a_cubin_is_in_its_key() -> None:
    launches = [
        tiny.adding(), tiny.adding(size=65), tiny.adding(bias=False), tiny.adding(stride=2),
        tiny.summing(), tiny.summing(is_cooperative=True),
    ]  # fmt: skip
    assert len({build_of(launch).key for launch in launches}) == len(launches)
    assert build_of(tiny.adding()).key == build_of(tiny.adding(scale=3.0)).key
    assert build_of(tiny.adding(size=64)).key == build_of(tiny.adding(size=128)).key
