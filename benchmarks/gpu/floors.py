"""The two numbers of every kernel, computed without a GPU: a floor for bytes, one for instructions.

Instructions are counted in the cubin of each kernel's best guess of tiles, compiled for the GPU
on the spot; the weight of the smaller shape stands in for that of the larger, whose bytes and
products are as many times more.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import prod

import torch

from benchmarks.gpu import limits
from benchmarks.gpu.cases import BLOCKS, DTYPES, HUGE, RANDOM, SEMI, SQUARE, Case, layer, pruned
from pruneflow.deploy.aot.compiling import compile_launches
from pruneflow.deploy.kernels import KERNELS, Activation, Packed, Window

DEVICE, ARCH = "NVIDIA H100 80GB HBM3", "sm_90"
CASES = (
    *(("sell", RANDOM, sparsity, 1) for sparsity in (0.8, 0.9, 0.95)),
    *(("sell", RANDOM, 0.95, batch) for batch in (4, 16, 64)),
    *(("bsr", BLOCKS, 0.9, batch) for batch in (1, 16, 256, 2048)),
    *(("nm", SEMI, 0.5, batch) for batch in (1, 16, 256)),
    *(("bitmask", RANDOM, sparsity, 1) for sparsity in (0.5, 0.9)),
    ("bitmask", RANDOM, 0.9, 64),
)
HEAD = (
    "| kernel | case | bits per weight | bytes, us | instructions per product | instructions, us |"
    " products, us | dense, us | at best |\n|---|---|---|---|---|---|---|---|---|"
)


def table() -> str:
    """As Markdown."""
    return "\n".join([HEAD, *(row for case in CASES for row in _rows(*case))])


def _rows(kernel: str, mask: str, sparsity: float, batch: int) -> Iterator[str]:
    small = layer(SQUARE, mask, sparsity, batch)
    packed, cost = _packed(kernel, mask, sparsity), _cost(kernel, small)
    values = sum(part.numel() for part in packed.parts if part.is_floating_point())
    decoded = kernel in ("bitmask", "nm") and cost.is_tensor
    multiplied = prod(small.shape) if decoded else values
    for case in (small, layer(HUGE, mask, sparsity, batch)):
        times = prod(case.shape) / prod(small.shape)
        moved = 2 * batch * sum(case.shape)
        peaks = limits.DEVICES[DEVICE]
        ours = limits.floors(peaks, "bf16", round(packed.bytes * times) + moved,
                             round(multiplied * times), batch, cost)  # fmt: skip
        weights = prod(case.shape)
        dense = max(limits.floors(peaks, "bf16", 2 * weights + moved, weights, batch).values())
        bits = 8 * packed.bytes / prod(small.shape)
        yield (
            f"| `{kernel}` | {mask} {sparsity:.0%}, {case.name}, batch {batch} | {bits:.2f} | "
            f"{ours['bytes']:.2f} | {cost.instructions:.2f} | {ours['decode']:.2f} | "
            f"{ours['flops']:.2f} | {dense:.1f} | {dense / max(ours.values()):.2f} |"
        )


@lru_cache(maxsize=1)
def _packed(kernel: str, mask: str, sparsity: float) -> Packed:
    return KERNELS[kernel].pack(pruned(layer(SQUARE, mask, sparsity, 1), "cpu"))


def _cost(kernel: str, case: Case) -> limits.Cost:
    """Of the launch that multiplies most cheaply: the others transpose, or add up."""
    packed = _packed(kernel, case.mask, case.sparsity)
    x = torch.empty(case.batch, case.shape[1], dtype=DTYPES[case.dtype])
    config = KERNELS[kernel].configs(packed, case.batch)[0]
    y = KERNELS[kernel].output(x, packed, Window())
    launches = KERNELS[kernel].launches(x, packed, None, Activation(), Window(), config, y)
    found = [cubin.resources for cubin in compile_launches(launches, ARCH)]
    costs = [limits.Cost(one.cost, one.tensor > 0) for one in found if one.cost]
    return min(costs, key=lambda cost: cost.instructions)
