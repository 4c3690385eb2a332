"""What a launch becomes a cubin with: types, constants, and what is known of the arguments.

It is what Triton's just-in-time compiler would find out from the same arguments
(``triton.runtime.jit``): None and the number 1 are constants, and whatever is a multiple of 16 is
known to be one. A tensor is taken to start at a multiple of 16 bytes, as CUDA's memory does.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from pruneflow.deploy.kernels.launch import Argument, Launch

ALIGNMENT = 16
TYPES = {
    torch.bool: "u1", torch.uint8: "u8", torch.uint16: "u16", torch.uint32: "u32",
    torch.uint64: "u64", torch.int8: "i8", torch.int16: "i16", torch.int32: "i32",
    torch.int64: "i64", torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32",
    torch.float64: "fp64",
}  # fmt: skip
"""What Triton calls them."""


@dataclass(frozen=True)
class Build:
    """What decides upon a cubin, besides the architecture and the version of Triton.

    Attributes:
        module: Where the kernel is defined.
        function: Its name there.
        types: Of the arguments that the cubin takes, in order.
        constants: All other arguments.
        aligned: The names of arguments that are multiples of 16.
        warps: Of 32 threads, for each program.
        stages: Of the software pipeline.
        is_cooperative: Whether all programs run at once.
    """

    module: str
    function: str
    types: Mapping[str, str]
    constants: Mapping[str, Any]
    aligned: tuple[str, ...]
    warps: int
    stages: int
    is_cooperative: bool

    @property
    def key(self) -> str:
        """All of it as JSON; equal for equal cubins."""
        return json.dumps(asdict(self))


def build_of(launch: Launch) -> Build:
    """What a launch is compiled with."""
    function = launch.function.fn
    given = {**launch.arguments, **launch.constants}
    arguments = {name: given[name] for name in inspect.signature(function).parameters}
    constants = {
        name: value
        for name, value in arguments.items()
        if name in launch.constants or _is_constant(value)
    }
    types = {name: _type(value) for name, value in arguments.items() if name not in constants}
    aligned = tuple(name for name in types if _is_aligned(arguments[name]))
    return Build(
        function.__module__, function.__name__, types, constants, aligned, launch.warps,
        launch.stages, launch.is_cooperative,
    )  # fmt: skip


def _is_constant(value: Argument) -> bool:
    return value is None or (type(value) is int and value == 1)


def _type(value: Argument) -> str:
    if isinstance(value, torch.Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, bool):
        return "u1"
    if isinstance(value, float):
        return "fp32"
    assert value is not None
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _is_aligned(value: Argument) -> bool:
    if isinstance(value, torch.Tensor):
        return value.storage_offset() * value.element_size() % ALIGNMENT == 0
    return type(value) is int and value % ALIGNMENT == 0
