"""What C code of a quantized network has to give: the same passes, in whole numbers of any size.

Sums of products are formed in float64, which holds all of them exactly.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch.nn import functional as F

from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.program import POOLS, Pass
from pruneflow.deploy.c99.quantized.quantities import HIGHEST, LOWEST, Quantity, offset_of
from pruneflow.deploy.c99.quantized.rescaling import Integers, divided, steps
from pruneflow.deploy.c99.quantized.rows import Rows
from pruneflow.deploy.c99.quantized.staging import DEQUANTIZE, QUANTIZE
from pruneflow.deploy.c99.quantized.unit import PARTS, QuantizedUnit, activation_of, window
from pruneflow.deploy.c99.unit import Floats
from pruneflow.deploy.graphs.graph import Node
from pruneflow.deploy.graphs.ops import OPS

FRACTION = 16
"""Bits behind the point of an input in steps."""


def quantize(numbers: Floats, quantity: Quantity) -> Integers:
    """Bytes of float32 numbers; those outside the range are the nearest, NaN is the lowest."""
    factor, most = np.float32(2**FRACTION / quantity.scale), np.float32(2.0 ** (8 + FRACTION))
    with np.errstate(over="ignore"):
        parts = np.nan_to_num(numbers * factor, nan=-np.inf).clip(-most, most)
    return _finished(np.trunc(parts).astype(np.int64), FRACTION, quantity)


def dequantize(values: Integers, quantity: Quantity) -> Floats:
    """float32 numbers of bytes."""
    return (values - quantity.zero).astype(np.float32) * np.float32(quantity.scale)


def outputs_of(unit: QuantizedUnit, inputs: torch.Tensor) -> torch.Tensor:
    """float32 outputs (n, outputs) of float32 inputs (n, ...); a softmax's may be off by rounding.

    Args:
        unit: The network.
        inputs: (n, ...).
    """
    return _Reference(unit).run(inputs)


class _Reference:
    """Runs passes; results are bytes as whole numbers (n, ...), or floats."""

    def __init__(self, unit: QuantizedUnit) -> None:
        self.unit = unit
        self.bytes: dict[str, Integers] = {}

    def run(self, inputs: torch.Tensor) -> torch.Tensor:
        """All of them."""
        floats = inputs.detach().numpy().astype(np.float32)
        for one in self.unit.program.passes:
            if one.node.op == QUANTIZE:
                self.bytes[one.output] = quantize(floats, self.unit.quantities[one.output])
            elif one.node.op == "softmax":
                floats = torch.from_numpy(floats).double().flatten(1).softmax(1).float().numpy()
            elif one.output == self.unit.floats:
                floats = self._floats(one)
            else:
                self.bytes[one.output] = self._bytes(one)
        return torch.from_numpy(floats.reshape(len(inputs), -1))

    def _floats(self, one: Pass) -> Floats:
        if one.node.op == DEQUANTIZE:
            return dequantize(self.bytes[one.input], self.unit.quantities[one.input])
        rows = self.unit.rows[one.node.name]
        found = self._sums(one, rows).astype(np.float32) * rows.units.astype(np.float32)
        op = one.activation.op if one.activation else None
        return found if op is None else found.clip(0, 6 if op == "relu6" else None)

    def _bytes(self, one: Pass) -> Integers:
        op, unit = one.node.op, self.unit
        if op in ("linear", "conv2d"):
            found = self._layer(one)
            return found if one.pool is None else self._pool(one.pool, found, one)
        if op == "add":
            fixed = unit.addends(one)
            left, right = (
                (self._as(one.output, name) - unit.quantities[name].zero) * factor
                for name, factor in zip(one.reads, fixed.factors, strict=True)
            )
            activation = activation_of(one)
            return _finished(left + right, fixed.shift, unit.quantities[one.output], activation)
        if op in ("relu", "relu6"):
            values = self._as(one.output, one.input)
            return values.clip(*unit.quantities[one.input].limits(op))
        if op in POOLS:
            return self._pool(one.node, self.bytes[one.input], one)
        return self._as(one.output, one.input)

    def _as(self, name: str, source: str) -> Integers:
        """A result in the shape of another of its size: a flattened map is the map."""
        values = self.bytes[source]
        return values.reshape(len(values), *self.unit.program.layouts[name].shape)

    def _layer(self, one: Pass) -> Integers:
        target, finish = self.unit.target(one), self.unit.finishes[one.node.name]
        assert target is not None
        sums = self._sums(one, self.unit.rows[one.node.name])
        shape = (-1, *[1] * (sums.ndim - 2))
        if one.other is not None:
            factor, shift, zero = (
                part.reshape(shape)
                for part in (finish.other, finish.other_shifts, finish.other_zero)
            )
            other = self._as(one.node.name, one.other)
            sums = sums + ((other - LOWEST) * factor >> shift) - zero
        offset, factor, shift = (
            part.reshape(shape) for part in (finish.offset, finish.factors, finish.shifts)
        )
        low, high = target.limits(activation_of(one))
        return np.minimum(low + steps(sums + offset, factor, shift), high)

    def _sums(self, one: Pass, rows: Rows) -> Integers:
        """Codes times bytes less their zero, and the bias."""
        values = self.bytes[one.input] - self.unit.quantities[one.input].zero
        x, codes = torch.from_numpy(values).double(), rows.stored.coded.codes
        weight = torch.from_numpy(codes.astype(np.float64))
        bias = torch.from_numpy(rows.plain).double()
        if one.node.op == "linear":
            return _whole(F.linear(x.flatten(1), weight, bias))
        out, channels, height, width = self.unit.shapes[one.node.name]
        weight = weight.reshape(out, height, width, channels).permute(0, 3, 1, 2)
        return _whole(F.conv2d(x, weight, bias, **one.node.options))  # type: ignore[arg-type]

    def _pool(self, node: Node, values: Integers, one: Pass) -> Integers:
        if node.op == "max_pool2d":
            return _whole(OPS[node.op].run(torch.from_numpy(values).double(), **node.options))
        target = self.unit.quantities[one.output]
        source = self.unit.planes.get(one.output, self.unit.quantities.get(one.input))
        assert source is not None
        sums, places = _window_sums(node, values - source.zero)
        area = np.array(prod(window(node, self.unit.program)))
        sums = divided(sums * PARTS * area, places)
        mean = self.unit.mean(node, source, one.output)
        sums = sums + self.unit.mean_offset(mean, target)
        found = LOWEST + steps(sums, np.array(mean.factor), np.array(mean.shift))
        return np.minimum(found, HIGHEST)


def _window_sums(node: Node, values: Integers) -> tuple[Integers, Integers]:
    """Sums over a pool's windows, and how many places torch divides each by."""
    pool = windows.whole(node, values.shape[1:]) if node.op == "global_avg_pool" else node
    kernel, stride, padding = (windows.pair(pool, key) for key in ("kernel", "stride", "padding"))
    is_ceiled, counts = (bool(pool.options[key]) for key in ("ceil_mode", "count_include_pad"))

    def pooled(numbers: torch.Tensor, divisor: int | None = None) -> torch.Tensor:
        return F.avg_pool2d(numbers, kernel, stride, padding, is_ceiled, counts, divisor)

    ones = torch.ones(1, 1, *values.shape[2:], dtype=torch.float64)
    sums = pooled(torch.from_numpy(values).double(), 1)
    return _whole(sums), _whole(pooled(ones, 1) / pooled(ones))


def _finished(
    parts: Integers, bits: int, quantity: Quantity, activation: str | None = None
) -> Integers:
    """Bytes of steps with bits behind the point."""
    low, high = quantity.limits(activation)
    sums: Integers = np.maximum(parts + offset_of(quantity, bits, low), 0)
    found: Integers = np.minimum(low + (sums >> bits), high)
    return found


def _whole(numbers: torch.Tensor) -> Integers:
    found: Integers = numbers.round().to(torch.int64).numpy()
    return found
