"""What no kernel can beat: the time for its bytes, its products and its instructions.

Bandwidths and peaks are the vendors' (without sparsity); a device that is not listed is judged by
the bandwidth that a copy reached on it. Instructions are counted in machine code that was compiled
ahead of time; the count ignores how long each waits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import DTYPES

RESOURCES = Path(__file__).parents[2] / "tests" / "deploy" / "aot" / "resources.json"


TILE = 16
"""The fewest rows that tensor cores multiply."""


@dataclass(frozen=True)
class Cost:
    """Of a kernel.

    Attributes:
        instructions: Of single lanes, for each product of a weight and an input.
        is_tensor: Whether tensor cores multiply.
    """

    instructions: float
    is_tensor: bool


@dataclass(frozen=True)
class Peaks:
    """The most a device does in a second.

    Attributes:
        bytes: Of its memory.
        flops: Floating-point operations by the name of a dtype.
        instructions: Of single lanes: multiprocessors x 128 x clock.
    """

    bytes: float
    flops: Mapping[str, float]
    instructions: float | None = None


_H100 = {"bf16": 989e12, "fp16": 989e12, "fp32": 67e12}
_A100 = {"bf16": 312e12, "fp16": 312e12, "fp32": 19.5e12}

DEVICES: Mapping[str, Peaks] = {
    "NVIDIA H100 80GB HBM3": Peaks(3.35e12, _H100, 29.7e12),
    "NVIDIA H200": Peaks(4.8e12, _H100, 29.7e12),
    "NVIDIA H100 PCIe": Peaks(
        2.04e12, {"bf16": 756e12, "fp16": 756e12, "fp32": 51e12}, 114 * 128 * 1.755e9
    ),
    "NVIDIA A100-SXM4-80GB": Peaks(2.039e12, _A100, 108 * 64 * 1.41e9),
    "NVIDIA A100-SXM4-40GB": Peaks(1.555e12, _A100, 108 * 64 * 1.41e9),
}


def peaks(device: str, copied: float) -> Peaks:
    """A device's peaks.

    Args:
        device: Its name.
        copied: Bytes a second that a copy on it read and wrote.
    """
    return DEVICES.get(device, Peaks(copied, {}))


def floors(
    device: Peaks, dtype: str, moved: int, multiplied: int, batch: int, cost: Cost | None = None
) -> dict[str, float]:
    """Microseconds that a multiplication takes at least, by what sets the limit.

    Args:
        device: Where it runs.
        dtype: Of its products.
        moved: Bytes of the weight's format, the inputs and the outputs, each once.
        multiplied: Weights that are multiplied by, zeros among them.
        batch: Rows of inputs.
        cost: Of the kernel's instructions; None where nobody counted them.
    """
    found = {"bytes": moved / device.bytes * 1e6}
    if dtype in device.flops:
        found["flops"] = 2 * multiplied * batch / device.flops[dtype] * 1e6
    if cost and device.instructions:
        rows = max(batch, TILE) if cost.is_tensor else batch
        found["decode"] = multiplied * rows * cost.instructions / device.instructions * 1e6
    return {name: round(value, 3) for name, value in found.items()}


def cost_of(
    kernel: str, arch: str | None, dtype: str, batch: int, version: str, path: Path = RESOURCES
) -> Cost | None:
    """What a kernel's hot loops cost, as compiled for the nearest batch; None if nobody knows.

    Args:
        kernel: Its name.
        arch: ``sm_90``, say.
        dtype: Of its inputs.
        batch: Rows of inputs.
        version: Of Triton; another one's count stands in for it.
        path: What compiling ahead of time found.
    """
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    by_kernel: dict[str, Any] = found.get(version) or next(iter(found.values()), {})
    precision = str(DTYPES[dtype]).removeprefix("torch.")
    counted = {
        (abs(log2(int(size[1]) / batch)), case["cost"]): case["tensor"]
        for name, case in by_kernel.get(kernel, {}).get(f"{arch} {precision}", {}).items()
        if (size := re.search(r"batch (\d+)", name))
    }  # launches that multiply nothing cost more than those that do
    return Cost(min(counted)[1], counted[min(counted)]) if counted else None
