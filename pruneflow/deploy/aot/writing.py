"""A folder of cubins, and all that a program needs to launch them with CUDA's driver alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from pruneflow import runfolder
from pruneflow.deploy.aot.build import ALIGNMENT
from pruneflow.deploy.aot.compiling import Cubin, Tell, compile_launches
from pruneflow.deploy.aot.planning import INPUT, OUTPUT, Work
from pruneflow.deploy.kernels import language
from pruneflow.deploy.kernels.launch import Argument, Launch

INDEX = "kernels.json"
PACKED = "packed.safetensors"
VERSION = 1
HIDDEN = ("global_scratch", "profile_scratch")
"""What Triton adds to the arguments of every kernel, in this order (3.6 to 3.9)."""
NOTES = (
    "Launches of the same work follow one another in order, on one stream.",
    "A cubin takes its arguments in the order given here, each by value: a pointer or i64 is "
    "8 bytes, i32 and fp32 are 4, u1 is 1.",
    "A pointer is 'offset' bytes into the input, the output, a tensor of packed.safetensors, or "
    "memory for work of so many 'bytes', whose contents before the first launch do not matter.",
    "Shapes and strides, counted in elements, have to be those given, and a pointer a multiple of "
    "as many bytes as 'aligned' says: both are compiled in.",
    "Inputs and outputs of convolutions have their channels last; one of 1x1 may be a product of "
    "matrices, with a row for each position of its outputs.",
    "Every cubin takes two more pointers at the end, which Triton added: 'global_scratch' and "
    "'profile_scratch'. They are null where 'bytes' is 0.",
    "Before a launch with more than 49152 bytes of shared memory, set "
    "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES of the function to as many.",
    "A cooperative launch has the attribute CU_LAUNCH_ATTRIBUTE_COOPERATIVE.",
    "Cubins for sm_90 and above run on that architecture only; others also on later ones of the "
    "same first digit.",
)

Row = dict[str, Any]


def write_cubins(
    work: Sequence[Work], folder: Path, arch: str, tell: Tell = lambda text: None
) -> list[Row]:
    """Compile work into a folder: cubins, ``kernels.json`` and ``packed.safetensors``.

    ``kernels.json`` is written last and removed first: where it is, everything is.

    Args:
        work: What is to be launched; see ``planning.plan``.
        folder: Made if it is not there; cubins of earlier are removed.
        arch: One of ``architectures.ARCHITECTURES``.
        tell: Is told what goes on.

    Returns:
        What each launch asks of a GPU, as JSON.

    Raises:
        DeployError: There is no such architecture, no Triton, or a kernel cannot be compiled.
    """
    launches = [launch for one in work for launch in one.launches]
    cubins = iter(compile_launches(launches, arch, tell))
    files: dict[str, bytes] = {}
    rows, index = [], []
    for one in work:
        for number, launch in enumerate(one.launches):
            cubin = next(cubins)
            name = f"{cubin.symbol}-{hashlib.sha256(cubin.data).hexdigest()[:12]}.cubin"
            files[name] = cubin.data
            row = _row(one, number, cubin) | {"cubin": name, "arch": arch}
            rows.append(row)
            index.append(row | _how(one, launch, cubin))
    stored = {
        name: tensor
        for one in work for name, tensor in one.tensors.items() if name not in (INPUT, OUTPUT)
    }  # fmt: skip
    _write(folder, files, stored, {
        "version": VERSION, "arch": arch, "triton": language.triton.__version__,
        "notes": list(NOTES), "launches": index,
    })  # fmt: skip
    return rows


def _write(
    folder: Path, files: dict[str, bytes], stored: dict[str, torch.Tensor], index: Row
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    runfolder.sweep_temporaries(folder)
    for old in folder.glob("*.cubin"):
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        runfolder.write_bytes(folder / name, data)
    whole = {name: tensor.contiguous().clone() for name, tensor in stored.items()}
    runfolder.write_bytes(folder / PACKED, save(whole))
    runfolder.write_json(folder / INDEX, index)


def _row(one: Work, number: int, cubin: Cubin) -> Row:
    return {
        "layer": one.layer, "kernel": one.kernel, "batch": one.batch, "launch": number,
        "config": dict(one.config), "symbol": cubin.symbol, "shared_memory": cubin.shared,
        "resources": cubin.resources.to_json(),
    }  # fmt: skip


def _how(one: Work, launch: Launch, cubin: Cubin) -> Row:
    """How to launch a cubin."""
    arguments = [
        {"name": name, "type": kind}
        | _meaning(launch.arguments[name], one)
        | ({"aligned": ALIGNMENT} if name in cubin.build.aligned and kind[0] == "*" else {})
        for name, kind in cubin.build.types.items()
    ]
    programs = prod(launch.grid)
    hidden = [
        {"name": name, "type": "*u8", "is": "scratch", "bytes": size * programs, "aligned": align}
        for name, (size, align) in zip(HIDDEN, cubin.scratch, strict=True)
    ]
    return {
        "grid": [*launch.grid, 1, 1][:3],
        "block": [32 * cubin.warps, 1, 1],
        "is_cooperative": launch.is_cooperative,
        "arguments": arguments + hidden,
    }


def _meaning(value: Argument, one: Work) -> Row:
    """What to pass for an argument."""
    if not isinstance(value, torch.Tensor):
        return {"is": "number", "value": value}
    start = _start(value)
    place = {"shape": list(value.shape), "strides": list(value.stride())}
    for name, tensor in one.tensors.items():
        offset = start - _start(tensor)
        if _memory(tensor) == _memory(value) and 0 <= offset < max(1, tensor.nbytes):
            kind = {"is": name} if name in (INPUT, OUTPUT) else {"is": "packed", "tensor": name}
            return kind | {"offset": offset} | place
    size = value.untyped_storage().nbytes()
    return {"is": "work", "tensor": _work_name(value, one), "bytes": size, "offset": start} | place


def _work_name(value: torch.Tensor, one: Work) -> str:
    """The same for all arguments of the work that share memory."""
    arguments = (value for launch in one.launches for value in launch.arguments.values())
    memories = [_memory(value) for value in arguments if isinstance(value, torch.Tensor)]
    return f"work{list(dict.fromkeys(memories)).index(_memory(value))}"


def _memory(tensor: torch.Tensor) -> int:
    """Stands for the memory a tensor lies in."""
    return int(tensor.untyped_storage()._cdata)


def _start(tensor: torch.Tensor) -> int:
    """Where in its memory a tensor starts, in bytes."""
    return int(tensor.storage_offset()) * tensor.element_size()
