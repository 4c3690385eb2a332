"""Small kernels that show one thing each."""

from __future__ import annotations

import torch

from pruneflow.deploy.kernels.language import constexpr, jit, tl
from pruneflow.deploy.kernels.launch import Launch


@jit
def add(x_ptr, bias_ptr, y_ptr, size, stride, scale, BLOCK: constexpr, PAIRS: constexpr):  # noqa: N803
    """y = scale * x + bias, if there is a bias; and what a nested constant says."""
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    y = tl.load(x_ptr + place * stride, mask=place < size, other=0.0) * scale + PAIRS[1][0]
    if bias_ptr is not None:
        y += tl.load(bias_ptr + place, mask=place < size, other=0.0)
    tl.store(y_ptr + place, y, mask=place < size)


@jit
def sum_squares(x_ptr, y_ptr, size, BLOCK: constexpr):  # noqa: N803
    """One sum, in a loop."""
    lane = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), dtype=tl.float32)
    for start in range(0, size, BLOCK):
        x = tl.load(x_ptr + start + lane, mask=start + lane < size, other=0.0)
        total += x * x
    tl.store(y_ptr, tl.sum(total))


@jit
def crowd(x_ptr, y_ptr, depth, SIDE: constexpr):  # noqa: N803
    """A product of more sums than there are registers."""
    row, lane = tl.arange(0, SIDE), tl.arange(0, 16)
    total = tl.zeros((SIDE, SIDE), dtype=tl.float32)
    for i in range(depth):
        a = tl.load(x_ptr + row[:, None] * depth + i * 16 + lane[None, :])
        total = tl.dot(a, tl.trans(a), total)
    tl.store(y_ptr + row[:, None] * SIDE + row[None, :], total)


@jit
def broken(x_ptr, BLOCK: constexpr):  # noqa: N803
    """Does not compile."""
    tl.store(x_ptr + tl.arange(0, BLOCK), no_such_name)  # noqa: F821


def adding(size: int = 64, bias: bool = True, stride: int = 1, scale: float = 2.0) -> Launch:
    """A launch of ``add``."""
    x = torch.zeros(size * stride)
    arguments = {
        "x_ptr": x, "bias_ptr": torch.zeros(size) if bias else None, "y_ptr": torch.zeros(size),
        "size": size, "stride": stride, "scale": scale,
    }  # fmt: skip
    return Launch(add, (-(-size // 32),), arguments, {"BLOCK": 32, "PAIRS": ((1, 2), (3, 4))}, 1)


def summing(size: int = 64, is_cooperative: bool = False) -> Launch:
    """A launch of ``sum_squares``."""
    arguments = {"x_ptr": torch.zeros(size), "y_ptr": torch.zeros(1), "size": size}
    return Launch(sum_squares, (1,), arguments, {"BLOCK": 1024}, is_cooperative=is_cooperative)


def crowding(side: int) -> Launch:
    """A launch of ``crowd`` by one warp."""
    x, y = torch.zeros(side, 64, dtype=torch.bfloat16), torch.zeros(side, side)
    return Launch(crowd, (1,), {"x_ptr": x, "y_ptr": y, "depth": 4}, {"SIDE": side}, 1)
