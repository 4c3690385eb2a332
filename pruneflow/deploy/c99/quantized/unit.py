"""A network as one unit of C whose results are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.program import COPY, FRAMED_INPUT, Pass, Program
from pruneflow.deploy.c99.quantized.quantities import LOWEST, Quantity, Range
from pruneflow.deploy.c99.quantized.rescaling import MOST_SUM, Fixed, Rescale
from pruneflow.deploy.c99.quantized.rows import COARSEST, Finish, Rows, require_fits, rows_of
from pruneflow.deploy.c99.quantized.staging import DEQUANTIZE, QUANTIZE, Staged, staged
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.graphs.graph import INPUT, Node
from pruneflow.errors import DeployError

AVERAGES = ("avg_pool2d", "global_avg_pool")
ALIKE = ("relu", "relu6", "max_pool2d", "flatten", COPY)
"""Passes whose bytes mean what their input's do."""

PARTS = 16
"""Of a byte that an average pool sums up."""
_BITS = 20
"""Of the factors of what is added: 255 times two of them, and an offset, fit 31 bits."""
_MOST_RATIO = 2.0**16
"""Of the scale of what is added to that of the sum."""


@dataclass(frozen=True)
class QuantizedUnit(Unit):
    """What is written as C.

    Attributes:
        floats: The first result that is written as floats.
        quantities: Of every result before.
        planes: Of what a convolution leaves for the pool that joined it, by the pass's output.
        rows: Of every layer, by the name of its node.
        finishes: Of those that leave bytes, likewise.
    """

    floats: str
    quantities: Mapping[str, Quantity]
    planes: Mapping[str, Quantity]
    rows: Mapping[str, Rows]
    finishes: Mapping[str, Finish]

    number: ClassVar[str] = "int8_t"
    number_bytes: ClassVar[int] = 1
    activations: ClassVar[str] = "int8"

    @property
    def given(self) -> str:
        """The result that is the input in bytes."""
        return self.program.passes[0].output

    @property
    def is_framed(self) -> bool:
        """Whether the input in bytes is copied into a frame."""
        return self.given == FRAMED_INPUT

    @property
    def shown(self) -> dict[str, Quantity]:
        """The quantities of the input and of what nodes leave."""
        rest = {name: one for name, one in self.quantities.items() if name != self.given}
        return {INPUT: self.quantities[self.given], **rest}

    def target(self, one: Pass) -> Quantity | None:
        """What a layer's own result is in, before a pool; None: in floats."""
        return self.planes.get(one.output, self.quantities.get(one.output))

    def addends(self, one: Pass) -> Fixed:
        """Factors of what an addition adds, to steps of its output."""
        scale = self.quantities[one.output].scale
        return Fixed.of(*(self.quantities[name].scale / scale for name in one.reads), bits=_BITS)

    def mean(self, node: Node, source: Quantity, output: str) -> Rescale:
        """From parts of a byte in the sum of a pool's whole window to steps of its output."""
        area = prod(window(node, self.program))
        return Rescale.of(source.scale / PARTS / area / self.quantities[output].scale)

    def mean_offset(self, mean: Rescale, target: Quantity) -> int:
        """What is added to the parts: half a step, and the steps from the least byte to zero's."""
        return round((target.zero - LOWEST + 0.5) / mean.real)

    def bytes_of(self, name: str) -> dict[str, int]:
        """See base class; scales are factors and shifts, or floats of the last layer."""
        rows = len(self.rows[name].bias)
        finish = self.finishes.get(name)
        each = 4 if finish is None else 6 if len(finish.other) else 3
        return {**super().bytes_of(name), "scales": each * rows, "bias": 4 * rows}


def activation_of(one: Pass) -> str | None:
    """The operation that joined a pass's own, if one did."""
    return one.activation.op if one.activation else None


def window(node: Node, program: Program) -> tuple[int, int]:
    """Height and width of an average pool's window."""
    if node.op == "avg_pool2d":
        return windows.pair(node, "kernel")
    height, width = program.layouts[node.inputs[0]].shape[1:]
    return height, width


def _is_whole(node: Node) -> bool:
    """Whether all windows of an average pool count the same number of places."""
    if node.op == "global_avg_pool":
        return True
    counts = bool(node.options["count_include_pad"]) or windows.pair(node, "padding") == (0, 0)
    return counts and not node.options["ceil_mode"]


def quantized(unit: Unit, ranges: Mapping[str, Range]) -> QuantizedUnit:
    """A unit of floats as one of bytes.

    Args:
        unit: With weights in int8.
        ranges: Of every result and of INPUT.

    Raises:
        DeployError: It has an operation that there is none for in integers, or sums that do not
            fit 32 bits.
    """
    stages = staged(unit.program)
    writer = _Writer(unit, stages, ranges)
    for one in stages.program.passes:
        writer.add(one)
    weights = {name: rows.stored for name, rows in writer.rows.items()}
    return QuantizedUnit(
        unit.name, stages.program, weights, unit.shapes, unit.biases, stages.floats,
        writer.quantities, writer.planes, writer.rows, writer.finishes,
    )  # fmt: skip


class _Writer:
    """Quantities, pass by pass."""

    def __init__(self, unit: Unit, stages: Staged, ranges: Mapping[str, Range]) -> None:
        self.unit = unit
        self.stages = stages
        self.ranges = ranges
        self.quantities: dict[str, Quantity] = {}
        self.planes: dict[str, Quantity] = {}
        self.rows: dict[str, Rows] = {}
        self.finishes: dict[str, Finish] = {}

    def add(self, one: Pass) -> None:
        """Say what a pass's bytes mean."""
        op, output = one.node.op, one.output
        if op == QUANTIZE:
            self.quantities[output] = Quantity.of(self.ranges[INPUT])
        elif op in ALIKE:
            self.quantities[output] = self.quantities[one.input]
        elif op in ("linear", "conv2d"):
            self._layer(one)
        elif op == "add":
            self.quantities[output] = Quantity.of(self.ranges[output], self._finest_sum(one))
        elif op in AVERAGES:
            self._average(one.node, self.quantities[one.input], output)
        else:
            assert op in (DEQUANTIZE, "softmax")

    def _layer(self, one: Pass) -> None:
        name, source = one.node.name, self.quantities[one.input]
        weight, bias = self.unit.weights[name], self._bias(name)
        if one.output == self.stages.floats:
            self.rows[name] = rows_of(weight, bias, source, None, None)
            require_fits(name, self.rows[name], None)
            return
        other = None if one.other is None else self.quantities[one.other]
        mean = one.pool if one.pool is not None and one.pool.op in AVERAGES else None
        numbers = self.ranges[one.output if mean is None else mean.inputs[0]]
        target = Quantity.of(numbers)
        rows = rows_of(weight, bias, source, target, other)
        if (least := float(rows.units.max()) / COARSEST) > target.scale:
            target = Quantity.of(numbers, least)
            rows = rows_of(weight, bias, source, target, other)
        finish = Finish.of(rows, target, target.limits(activation_of(one))[0], other)
        require_fits(name, rows, finish)
        self.rows[name], self.finishes[name] = rows, finish
        if mean is None:
            self.quantities[one.output] = target
        else:
            self.planes[one.output] = target
            self._average(mean, target, one.output)

    def _average(self, node: Node, source: Quantity, output: str) -> None:
        height, width = window(node, self.unit.program)
        most = 255 * PARTS * height * width * (2 if _is_whole(node) else height * width)
        if most > MOST_SUM:
            raise DeployError(
                f"deploy.activations=int8: the sums of {node.name} do not fit 32 bits: its window "
                f"is {height} x {width}; choose deploy.activations=fp32"
            )
        least = source.scale / (height * width) / PARTS / COARSEST
        self.quantities[output] = Quantity.of(self.ranges[output], least)

    def _bias(self, name: str) -> np.ndarray:
        rows = len(self.unit.weights[name].coded.codes)
        return np.asarray(self.unit.biases.get(name, np.zeros(rows)), np.float64)

    def _finest_sum(self, one: Pass) -> float:
        """What the scale of a sum must be greater than."""
        return max(self.quantities[name].scale for name in one.reads) / _MOST_RATIO
