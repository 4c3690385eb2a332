"""A layer's weights as the C kernels read them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from pruneflow.deploy.graphs.ops import Value
from pruneflow.deploy.native.abi import Map, Rows, Variant, Windows
from pruneflow.deploy.native.assemble import phases_of
from pruneflow.deploy.native.library import library

PANEL = 16
"""Rows that go side by side where one vector is multiplied."""

STEP_COST = 2.5
"""A step through windows costs as much as so many inputs of a dense panel."""

FARTHEST = 8 * 2**16
"""Windows begin at multiples of 8 inputs, which are counted in 16 bits."""

Words = NDArray[np.uint32]
Floats = NDArray[np.float32]


class Arena:
    """Keeps memory alive that C points to; each piece starts at a multiple of 64 bytes."""

    def __init__(self) -> None:
        self._kept: list[NDArray[np.uint8]] = []

    def zeros(self, count: int, dtype: type[np.generic] = np.float32) -> int:
        """The address of so many zeros."""
        return int(self._aligned(count, np.dtype(dtype)).ctypes.data)

    def keep(self, values: NDArray[np.generic]) -> int:
        """The address of a copy."""
        copy = self._aligned(values.size, values.dtype)
        copy[: values.size] = values.reshape(-1)
        return int(copy.ctypes.data)

    def _aligned(self, count: int, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
        size = max(count, 1) * dtype.itemsize
        raw = np.zeros(size + 64, np.uint8)
        self._kept.append(raw)
        start = -raw.ctypes.data % 64
        return raw[start : start + size].view(dtype)


def sparse_rows(weight: torch.Tensor) -> tuple[Words, Words, Floats]:
    """Row starts, columns and values of the nonzeros of a weight seen as (out, everything else)."""
    matrix = weight.detach().reshape(len(weight), -1).numpy()
    rows, columns = np.nonzero(matrix)
    starts = np.zeros(len(matrix) + 1, np.uint32)
    starts[1:] = np.cumsum(np.bincount(rows, minlength=len(matrix)))
    return starts, columns.astype(np.uint32), matrix[rows, columns].astype(np.float32)


def rows_of(
    arena: Arena, starts: Words, places: Words, values: Floats, bias: torch.Tensor | None
) -> Rows:
    """What ``rows.h`` reads."""
    none = np.zeros(len(starts) - 1, np.float32)
    offsets = none if bias is None else bias.detach().numpy()
    return Rows(*(arena.keep(array) for array in (starts, places, values, offsets)))


def convolution_places(
    weight: torch.Tensor, columns: Words, starts: Words, source: Map, options: Mapping[str, Value]
) -> Words:
    """How far from a pixel's place in the input the input of each nonzero lies, in floats.

    Args:
        weight: (out, in / groups, height, width).
        columns: Of the nonzeros, row by row.
        starts: Of the rows among them.
        source: The input, split by the phases of the stride.
        options: Of the convolution.
    """
    out, channels, height, width = weight.shape
    stride, dilation, groups = options["stride"], options["dilation"], options["groups"]
    assert isinstance(stride, list)
    assert isinstance(dilation, list)
    assert isinstance(groups, int)
    phases = phases_of(options, (height, width))
    row_of = np.repeat(np.arange(out), np.diff(starts))
    channel = columns // (height * width) + row_of // (out // groups) * channels
    down = columns // width % height * dilation[0]
    across = columns % width * dilation[1]
    plane = (channel * phases[0] + down % stride[0]) * phases[1] + across % stride[1]
    pixel = down // stride[0] * source.pitch + across // stride[1]
    places: Words = (plane * source.plane + pixel).astype(np.uint32)
    return places


def vector_layout(
    arena: Arena, weight: torch.Tensor, starts: Words, columns: Words, values: Floats
) -> tuple[Variant, Windows, int | None]:
    """How one vector is multiplied: as what costs least, with the arrays it needs."""
    rows, inputs = weight.shape
    kernels = library().handle
    panels = -(-rows // PANEL)
    if kernels.pf_lanes() < PANEL or inputs > FARTHEST:
        if 2 * len(values) > rows * inputs:
            return Variant.PANELS, Windows(), _panels(arena, weight)
        return Variant.ROWS, Windows(), None
    order = np.full(panels * PANEL, rows, np.uint32)
    order[:rows] = np.argsort(np.diff(starts), kind="stable")
    given = [array.ctypes.data for array in (starts, columns, values, order)]
    steps = kernels.pf_pack_windows(rows, *given, None, None, None, None)
    if steps * STEP_COST > panels * inputs:
        return Variant.PANELS, Windows(), _panels(arena, weight)
    packed = [
        arena.zeros(panels + 1, np.uint32), arena.zeros(steps, np.uint16),
        arena.zeros(steps * PANEL, np.uint8), arena.zeros(steps * PANEL, np.float32),
    ]  # fmt: skip
    kernels.pf_pack_windows(rows, *given, *packed)
    return Variant.WINDOWS, Windows(packed[0], arena.keep(order), *packed[1:]), None


def _panels(arena: Arena, weight: torch.Tensor) -> int:
    rows, inputs = weight.shape
    padded = np.zeros((-(-rows // PANEL) * PANEL, inputs), np.float32)
    padded[:rows] = weight.detach().numpy()
    return arena.keep(padded.reshape(-1, PANEL, inputs).transpose(0, 2, 1))
