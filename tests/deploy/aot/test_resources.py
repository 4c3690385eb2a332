"""What every kernel asks of a GPU: nothing spilled, few registers, instructions as before.

Instructions are counted for each product of a weight and an input, in the hot loops; the figures
are stored by the version of Triton, which decides upon them. Where a change is meant, rewrite
them with

    PRUNEFLOW_GOLDEN=write python -m pytest tests/deploy/aot/test_resources.py -m "slow or not slow"

and read the difference before committing it. Another version of Triton is tested by the same
command after ``pip install triton==3.6.0`` (3.6 to 3.9 are supported); without stored figures
for it, only what is spilled and the registers are looked at.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pruneflow.deploy.aot.compiling import Cubin, compile_launches
from pruneflow.deploy.kernels import language
from tests.deploy.aot.cases import NAMES, cases

pytest.importorskip("triton")

STORED = Path(__file__).parent / "resources.json"
WRITE = os.environ.get("PRUNEFLOW_GOLDEN") == "write"
REGISTERS = 128
"""So that an SM of 65536 registers holds 16 warps: enough to wait for memory in turns."""
MORE_REGISTERS = {
    "nm": (192, "a tile's sums lie in registers, and so do its weights while they are decoded"),
    "bitmask": (224, "64 weights are decoded at once by each row; the format for size"),
    "bsr_conv": (
        248,
        "sm_80 has no asynchronous products: 64 x 128 sums, and where 128 inputs lie",
    ),
}
"""Kernels that may use more, and why; at 255, two programs of four warps still share an SM."""
TOLERANCE = 0.1

every_kernel = pytest.mark.parametrize("name", NAMES)
every_target = pytest.mark.parametrize(
    "target",
    ["sm_90 bfloat16"]
    + [
        pytest.param(target, marks=pytest.mark.slow)
        for target in ("sm_90 float32", "sm_80 bfloat16", "sm_80 float32")
    ],
)
Figures = dict[str, Any]


@cache
def compiled(target: str) -> dict[str, list[tuple[str, Cubin]]]:
    """By kernel, and by what it is compiled for: all of them at once, which is quicker."""
    arch, precision = target.split()
    work = [case for name in NAMES for case in cases(name, precision)]
    launches = [launch for _, one in work for launch in one.launches]
    cubins = iter(compile_launches(launches, arch))
    found: dict[str, list[tuple[str, Cubin]]] = {name: [] for name in NAMES}
    for case, one in work:
        for number in range(len(one.launches)):
            cubin = next(cubins)
            found[one.kernel].append((f"{case}: {number} {cubin.symbol}", cubin))
    return found


def figures(cubin: Cubin) -> Figures:
    """What is stored of a cubin; instructions alone where nothing is multiplied."""
    found = cubin.resources
    cost = found.cost or found.instructions
    return {"cost": round(cost, 3), "registers": found.registers, "tensor": found.tensor > 0}


def stored() -> dict[str, Any]:
    """By the version of Triton, the kernel, the target, and what it is compiled for."""
    text = STORED.read_text(encoding="utf-8") if STORED.exists() else "{}"
    found: dict[str, Any] = json.loads(text)
    return found


def write(name: str, target: str, found: dict[str, Figures]) -> None:
    """One case a line."""
    everything = stored()
    version = everything.setdefault(language.triton.__version__, {})
    version.setdefault(name, {})[target] = found
    for stale in version.keys() - set(NAMES):
        del version[stale]
    text = json.dumps(everything, indent=1, sort_keys=True)
    text = re.sub(
        r"\{\s+(\"cost[^}]*?)\s+\}", lambda m: "{" + re.sub(r"\s+", " ", m[1]) + "}", text
    )
    STORED.write_text(text + "\n", encoding="utf-8")


@every_target
@every_kernel
def test_nothing_is_spilled(name: str, target: str) -> None:
    spilled = {case: cubin.resources.spilled for case, cubin in compiled(target)[name]}
    assert spilled
    assert not any(spilled.values()), spilled


@every_target
@every_kernel
def test_registers_leave_room_for_other_warps(name: str, target: str) -> None:
    limit, _ = MORE_REGISTERS.get(name, (REGISTERS, ""))
    registers = {case: cubin.resources.registers for case, cubin in compiled(target)[name]}
    assert max(registers.values()) <= limit, registers


@every_target
@every_kernel
def test_a_weight_costs_the_instructions_that_it_did(name: str, target: str) -> None:
    now = {case: figures(cubin) for case, cubin in compiled(target)[name]}
    if WRITE:
        write(name, target, now)
    version = stored().get(language.triton.__version__)
    if version is None:
        pytest.skip(f"there are no figures for Triton {language.triton.__version__}")
    before = version.get(name, {}).get(target, {})
    assert now.keys() == before.keys(), "see above how to rewrite the figures"
    for case in now:
        assert now[case]["cost"] == pytest.approx(before[case]["cost"], rel=TOLERANCE), case
        assert now[case]["tensor"] == before[case]["tensor"], case
