"""Operations a graph may hold: one table of their options, shape rules and torch functions.

``run`` and ``shape`` of an entry are called alike: the inputs (or their shapes) in order, then
weight and bias (or the weight's shape) where the operation has them, then the options by name.
Inputs of ``run`` have the batch in front, shapes have not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import cast

import torch
from torch.nn import functional as F

from pruneflow.deploy.bundles.damage import Damage

Shape = tuple[int, ...]
Value = int | float | bool | list[int]

ACTIVATIONS = ("relu", "relu6", "leaky_relu")
"""Operations that a layer can do to its own result on the way out."""

MOST = 65_535
"""The largest whole number an option takes."""

LARGEST = torch.finfo(torch.float32).max
"""The largest other number."""


@dataclass(frozen=True)
class Option:
    """What an option may be.

    Attributes:
        wanted: The allowed values in words.
        allows: Whether a value, which may be anything, is one of them.
    """

    wanted: str
    allows: Callable[[object], bool]


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and least <= value <= MOST


def whole(least: int) -> Option:
    """A whole number from ``least`` to ``MOST``."""
    return Option(f"a whole number from {least} to {MOST}", lambda v: _is_whole(v, least))


def pair(least: int) -> Option:
    """Two whole numbers, of height and width."""

    def allows(value: object) -> bool:
        is_pair = isinstance(value, list) and len(value) == 2
        return is_pair and all(_is_whole(side, least) for side in cast(list[object], value))

    return Option(f"a list of two whole numbers from {least} to {MOST}", allows)


FLAG = Option("true or false", lambda v: type(v) is bool)
REAL = Option(
    "a finite number in float32",
    lambda v: (type(v) is float and abs(v) <= LARGEST) or _is_whole(v, -MOST),
)


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        run: The torch function.
        shape: The result's shape; raises Damage where inputs, weight and options do not fit.
        inputs: How many results of other operations it reads.
        weight_dims: Dimensions of its weight; 0: it has neither weight nor bias.
        options: All of them have to be given.
    """

    run: Callable[..., torch.Tensor]
    shape: Callable[..., Shape]
    inputs: int = 1
    weight_dims: int = 0
    options: Mapping[str, Option] = field(default_factory=dict)


def _same(shape: Shape) -> Shape:
    return shape


def _linear(shape: Shape, weight: Shape) -> Shape:
    if len(shape) != 1 or shape[0] != weight[1]:
        raise Damage(f"a weight of {weight} takes ({weight[1]},), but the input is {shape}")
    return (weight[0],)


def _require_maps(shape: Shape) -> None:
    if len(shape) != 3:
        raise Damage(f"the input has to be (channels, height, width), but is {shape}")


def _window(
    shape: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> Shape:
    """Height and width after a window slid over them: torch's rule."""
    sides = []
    for side, k, step, pad, gap in zip(shape[1:], kernel, stride, padding, dilation, strict=True):
        room = side + 2 * pad - gap * (k - 1) - 1
        count = (room + (step - 1 if ceil_mode else 0)) // step + 1
        if ceil_mode and (count - 1) * step >= side + pad:
            count -= 1  # the last window would start in the padding
        if count < 1:
            raise Damage(
                f"a kernel of {k} with dilation {gap} does not fit {side} with padding {pad}"
            )
        sides.append(count)
    return tuple(sides)


def _conv2d(
    shape: Shape,
    weight: Shape,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Shape:
    _require_maps(shape)
    if weight[1] * groups != shape[0] or weight[0] % groups:
        raise Damage(f"a weight of {weight} in {groups} groups does not fit {shape[0]} channels")
    return (weight[0], *_window(shape, weight[2:], stride, padding, dilation))


def _pool(
    shape: Shape,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    ceil_mode: bool,
    dilation: Sequence[int] = (1, 1),
    count_include_pad: bool = True,
) -> Shape:
    _require_maps(shape)
    for side, k, pad, gap in zip(shape[1:], kernel, padding, dilation, strict=True):
        if 2 * pad > k:
            raise Damage(f"a padding of {pad} is more than half of the kernel of {k}")
        if pad and gap > side:
            raise Damage(f"with dilation {gap} a window may see nothing but padding")
    return (shape[0], *_window(shape, kernel, stride, padding, dilation, ceil_mode))


def _run_max_pool(
    x: torch.Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil_mode: bool,
) -> torch.Tensor:
    return F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)


def _run_avg_pool(
    x: torch.Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> torch.Tensor:
    return F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad)


def _global_avg_pool(shape: Shape) -> Shape:
    _require_maps(shape)
    return (shape[0], 1, 1)


def _add(left: Shape, right: Shape) -> Shape:
    if left != right:
        raise Damage(f"{left} and {right} cannot be added")
    return left


def _softmax(shape: Shape) -> Shape:
    if len(shape) != 1:
        raise Damage(f"the input has to be (features,), but is {shape}")
    return shape


_POOL = {
    "kernel": pair(1),
    "stride": pair(1),
    "padding": pair(0),
    "ceil_mode": FLAG,
}

OPS: Mapping[str, Op] = {
    "linear": Op(F.linear, _linear, weight_dims=2),
    "conv2d": Op(
        F.conv2d,
        _conv2d,
        weight_dims=4,
        options={
            "stride": pair(1),
            "padding": pair(0),
            "dilation": pair(1),
            "groups": whole(1),
        },
    ),
    "relu": Op(F.relu, _same),
    "relu6": Op(F.relu6, _same),
    "leaky_relu": Op(
        lambda x, slope: F.leaky_relu(x, slope),
        lambda shape, slope: _same(shape),
        options={"slope": REAL},
    ),
    "max_pool2d": Op(_run_max_pool, _pool, options={**_POOL, "dilation": pair(1)}),
    "avg_pool2d": Op(_run_avg_pool, _pool, options={**_POOL, "count_include_pad": FLAG}),
    "global_avg_pool": Op(lambda x: x.mean((2, 3), keepdim=True), _global_avg_pool),
    "flatten": Op(lambda x: x.flatten(1), lambda shape: (prod(shape),)),
    "add": Op(torch.add, _add, inputs=2),
    "softmax": Op(lambda x: x.softmax(1), _softmax),
}
