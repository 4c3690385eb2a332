"""What a convolution and a pool look at: the numbers of their C structures."""

from __future__ import annotations

from typing import cast

import numpy as np

from pruneflow.deploy.c99.layout import Layout
from pruneflow.deploy.c99.weights import Integers
from pruneflow.deploy.graphs.graph import Node
from pruneflow.deploy.graphs.ops import Shape, Value

MOST = 65_535
"""What 16 bits of a structure hold."""
WHOLE = 8
"""Rows of a multiple of so many outputs are summed without a rest."""


def pair(node: Node, option: str, default: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """An option of height and width."""
    height, width = cast(list[int], node.options.get(option, default))
    return height, width


def is_strided(node: Node) -> bool:
    """Whether neighbouring outputs of a row look at inputs that are no neighbours."""
    return pair(node, "stride")[1] > 1


def origin(node: Node, source: Layout) -> int:
    """Where in its input a convolution looks first."""
    down, right = pair(node, "padding")
    return source.lead - down * source.pitch - right


def places(node: Node, weight: Shape, source: Layout) -> Integers:
    """How far from an output's first input that of each column of the weight is.

    Args:
        node: A convolution, or a linear layer.
        weight: Its weight's shape.
        source: Its input's.
    """
    if len(weight) == 2:
        return np.arange(weight[1], dtype=np.int64)
    _, channels, height, width = weight
    down, right = pair(node, "dilation")
    rows = np.arange(height) * down * source.pitch
    columns = np.arange(width) * right
    found = rows[:, None, None] + columns[:, None] + np.arange(channels) * source.plane
    return found.reshape(-1).astype(np.int64)


def sides(node: Node, out: tuple[int, int], source: Layout, to: Layout | None) -> tuple[int, int]:
    """Rows and columns of the outputs that a convolution computes.

    Where rows lie as far from each other as the input's, all are one row: what is computed of the
    frame between them is thrown away, and no row ends in less than a block.

    Args:
        node: The convolution.
        out: Height and width of its output.
        source: Its input.
        to: Its output; None where it lies elsewhere first.
    """
    rows, columns = out
    alike = to is not None and source.pitch == to.pitch and pair(node, "stride") == (1, 1)
    run = (rows - 1) * source.pitch + columns
    return (1, run) if alike and columns % WHOLE and run <= MOST else (rows, columns)


def moved(source: Layout, to: Layout) -> tuple[tuple[int, int, int], int, int]:
    """A copy's planes, rows and columns; and where it goes, from a plane or row to the next."""
    if len(source.shape) != 3:
        return (1, 1, source.size), source.size, source.size
    planes, rows, columns = source.shape
    is_map = len(to.shape) == 3
    plane, pitch = (to.plane, to.pitch) if is_map else (rows * columns, columns)
    return (planes, rows, columns), plane, pitch


def conv_shape(
    node: Node, weight: Shape, source: Layout, sides: tuple[int, int], out_pitch: int
) -> list[int]:
    """A ``conv_shape``.

    Args:
        node: The convolution.
        weight: Its weight's shape.
        source: Its input.
        sides: Rows and columns of the outputs that are computed.
        out_pitch: From a row of the output to the next.
    """
    _, channels, *kernel = weight
    (down, right), (stride_y, stride_x) = pair(node, "dilation"), pair(node, "stride")
    back = down * source.pitch - kernel[1] * right
    return [
        source.plane, stride_y * source.pitch, channels, *sides, out_pitch, stride_x, *kernel,
        right, back,
    ]  # fmt: skip


def pool_shape(node: Node, source: Shape, pitch: int, out: Shape, out_pitch: int) -> list[int]:
    """A ``pool_shape``."""
    windows = [pair(node, "kernel"), pair(node, "stride"), pair(node, "padding")]
    dilation = pair(node, "dilation", (1, 1))
    numbers = [number for side in (*windows, dilation) for number in side]
    counted = bool(node.options.get("count_include_pad", False))
    return [*source[1:], pitch, *out[1:], out_pitch, *numbers, int(counted)]


def is_halving(node: Node, source: Shape) -> bool:
    """Whether a max pool has windows of 2x2 side by side, all of them inside its input."""
    options = {"kernel": (2, 2), "stride": (2, 2), "padding": (0, 0), "dilation": (1, 1)}
    plain = all(pair(node, option, sides) == sides for option, sides in options.items())
    overhangs = bool(node.options["ceil_mode"]) and any(side % 2 for side in source[1:])
    return node.op == "max_pool2d" and plain and not overhangs


def whole(node: Node, source: Shape) -> Node:
    """A global pool as a pool whose window is the map."""
    options: dict[str, Value] = {
        "kernel": list(source[1:]), "stride": [1, 1], "padding": [0, 0], "ceil_mode": False,
        "count_include_pad": False,
    }  # fmt: skip
    return Node(node.name, "avg_pool2d", node.inputs, options=options)
