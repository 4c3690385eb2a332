"""A pass of a quantized network as lines of C, and the constants it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.arrays import number
from pruneflow.deploy.c99.calls import Calls
from pruneflow.deploy.c99.convolutions import plus
from pruneflow.deploy.c99.layout import NO_FRAME
from pruneflow.deploy.c99.program import COPY, POOLS, Pass
from pruneflow.deploy.c99.quantized.functions import IntegerFunctions
from pruneflow.deploy.c99.quantized.quantities import Quantity, offset_of
from pruneflow.deploy.c99.quantized.reference import FRACTION
from pruneflow.deploy.c99.quantized.staging import DEQUANTIZE, QUANTIZE
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit, activation_of
from pruneflow.deploy.graphs.graph import Node


class IntegerCalls(Calls):
    """Writes passes; see base class."""

    def __init__(self, unit: QuantizedUnit, functions: IntegerFunctions) -> None:
        super().__init__(unit, functions)
        self.quantized = unit
        self.integers = functions

    def of(self, one: Pass) -> Iterator[str]:
        """The lines of a pass."""
        op = one.node.op
        yield self._heading(one)
        yield from self._cleared(one)
        if op == "linear":
            yield from self._linear(one)
        elif op == "conv2d":
            yield from self._conv(one)
        elif op == DEQUANTIZE:
            yield from self._moved(one, "int8_dequantize")
        elif op in (COPY, "flatten"):
            yield from self._moved(one, "int8_copy")
        elif op in POOLS:
            yield from self._pools(one)
        elif op == "softmax":
            x, y, size = self._at(one.input), self._at(one.output), self._layouts[one.output].size
            yield f"{self._use('softmax')}({x}, {y}, {size});"
        else:
            yield from self._each(one)

    def begun(self, function: str) -> Iterator[str]:
        """How a function brings an input to where the first layer reads it."""
        one = self.unit.program.passes[0]
        yield from self._cleared(one)
        yield from self._moved(one, function)

    def _moved(self, one: Pass, name: str) -> Iterator[str]:
        """A result copied from one layout to another, with or without a change of its type."""
        source, to = self._layouts[one.input], self._layouts[one.output]
        (planes, rows, columns), plane, pitch = windows.moved(source, to)
        x, y = plus(self._at(one.input), source.lead), plus(super()._at(one.output), to.lead)
        if source.frame == NO_FRAME and to.frame == NO_FRAME:
            planes, rows, columns = 1, 1, planes * rows * columns
        if planes > 1:
            yield f"for (uint32_t o = 0; o < {planes}; o++)"
            x, y = f"{x} + o * {source.plane}", f"{y} + o * {plane}"
        given = {
            "int8_copy": [x, source.pitch, y, pitch, rows, columns],
            "int8_quantize": [x, y, pitch, rows, columns],
            "int8_dequantize": [x, source.pitch, y, rows, columns],
        }[name]
        if name == "int8_dequantize":
            quantity = self._quantity(one.input)
            given += [number(quantity.scale), quantity.zero]
        elif name == "int8_quantize":
            quantity = self._quantity(one.output)
            given += [number(2**FRACTION / quantity.scale), offset_of(quantity, FRACTION)]
        yield f"{'    ' * (planes > 1)}{self._use(name)}({', '.join(map(str, given))});"

    def _each(self, one: Pass) -> Iterator[str]:
        """A pass over all bytes, frames included: what stands for 0 still does."""
        x, y, size = self._at(one.input), self._at(one.output), self._layouts[one.output].size
        target = self._quantity(one.output)
        if one.node.op != "add":
            low, high = target.limits(one.node.op)
            yield f"{self._use('int8_clamp_all')}({x}, {y}, {size}, {low}, {high});"
            return
        assert one.other is not None
        fixed, zeros = (
            self.quantized.addends(one),
            [self._quantity(name).zero for name in one.reads],
        )
        low, high = target.limits(activation_of(one))
        offset = offset_of(target, fixed.shift, low)
        offset -= sum(zero * factor for zero, factor in zip(zeros, fixed.factors, strict=True))
        name, call = f"{self.unit.labels[one.node.name]}_addition", self._use("int8_add")
        numbers = (*fixed.factors, offset, fixed.shift, low, high - low)
        self._constant("int8_addition", name, numbers)
        yield f"{call}(&{name}, {x}, {self._at(one.other)}, {y}, {size});"

    def _linear(self, one: Pass) -> Iterator[str]:
        label, weight = self.unit.labels[one.node.name], self.unit.weights[one.node.name]
        rows, columns = weight.coded.codes.shape
        parts = [str(rows), *([str(columns)] if weight.layout == "dense" else [])]
        parts += [] if weight.layout == "dense" else [f"{label}_counts", f"{label}_index"]
        parts += [f"{label}_values", f"{label}_bias"]
        target, x, y = self.quantized.target(one), self._at(one.input), self._at(one.output)
        if target is None:
            limits, parts = self._limits(one), [*parts, f"{label}_units"]
        else:
            low, high = target.limits(activation_of(one))
            limits = f"{low}, {high - low}"
            parts += [f"{label}_factors", f"{label}_shifts"]
        written = "float" if target is None else "int8"
        yield f"{self.integers.integer_linear(weight.layout, written)}("
        yield f"    {', '.join(parts)},"
        yield f"    {limits}, {x}, {y});"

    def _begun(self, one: Pass, pitch: int) -> Iterator[str]:
        """See base class: how the sums of output ``o`` become bytes."""
        target, label = self.quantized.target(one), self.unit.labels[one.node.name]
        assert target is not None
        low, high = target.limits(activation_of(one))
        members = ", ".join(f"{label}_{part}[o]" for part in ("bias", "factors", "shifts"))
        yield f"const int8_row row = {{{members}, {low}, {high - low}}};"
        if one.other is not None:
            yield f"const int8_added added = {{{label}_added[o], {label}_added_shifts[o]}};"

    def _given(self, one: Pass) -> list[str]:
        """See base class: also where an output plane of the other result begins, and its pitch."""
        if one.other is None:
            return ["&row"]
        other = self._layouts[one.other]
        place = f"{plus(self._at(one.other), other.lead)} + o * {other.plane}"
        return ["&row", "&added", place, str(other.pitch)]

    def _finished(self, one: Pass, pitch: int, target: str) -> Iterator[str]:
        """See base class."""
        if one.pool is not None:
            source = self.quantized.planes.get(one.output, self._quantity(one.output))
            yield self._pool_call(one.pool, one, pitch, source, "to", target)

    def _kind(self, one: Pass) -> tuple[Any, ...]:
        """See base class."""
        layout = self.unit.weights[one.node.name].layout
        return layout, windows.is_strided(one.node), one.other is not None

    def _written(self, kind: tuple[Any, ...], sides: list[tuple[int, int]]) -> str:
        """See base class."""
        layout, strided, adds = kind
        return self.integers.integer_conv(layout, strided, adds, sides)

    def _sides(self, one: Pass) -> tuple[int, int]:
        """See base class."""
        _, rows, columns = self._layouts[one.node.name].shape
        return rows, columns

    def _pools(self, one: Pass) -> Iterator[str]:
        source, out = self._layouts[one.input], self._layouts[one.output]
        x, y = plus(self._at(one.input), source.lead), plus(self._at(one.output), out.lead)
        x, y = f"{x} + o * {source.plane}", f"{y} + o * {out.plane}"
        yield f"for (uint32_t o = 0; o < {out.shape[0]}; o++)"
        quantity = self._quantity(one.input)
        yield f"    {self._pool_call(one.node, one, source.pitch, quantity, x, y)}"

    def _pool_call(
        self, node: Node, one: Pass, pitch: int, source: Quantity, x: str, y: str
    ) -> str:
        before, out = (self._layouts[name].shape for name in (node.inputs[0], node.name))
        pool = windows.whole(node, before) if node.op == "global_avg_pool" else node
        numbers = windows.pool_shape(pool, before, pitch, out, self._layouts[one.output].pitch)
        name = "int8_max_pool" if node.op == "max_pool2d" else "int8_average_pool"
        self._use(name)
        given = [f"&{self._structure('pool_shape', node, numbers)}"]
        if node.op != "max_pool2d":
            mean = self.quantized.mean(node, source, one.output)
            offset = self.quantized.mean_offset(mean, self._quantity(one.output))
            constant = f"{self.unit.labels[node.name]}_mean"
            self._constant("int8_mean", constant, (offset, mean.factor, mean.shift, source.zero))
            given.append(f"&{constant}")
        return f"{name}({', '.join(given)}, {x}, {y});"

    def _cleared(self, one: Pass) -> Iterator[str]:
        """The byte of 0 in a frame that is new, or had another one."""
        to, y = self._layouts[one.output], self._at(one.output)
        if to.frame == NO_FRAME or one.node.op not in (QUANTIZE, "conv2d", COPY, *POOLS):
            return
        zero = self._quantity(one.output).zero
        if any(self._at(name) == y and self._quantity(name).zero == zero for name in one.reads):
            return
        numbers = ", ".join(map(str, (*to.shape, *to.frame, zero)))
        yield f"{self._use('int8_clear_frame')}({y}, {numbers});"

    def _constant(self, kind: str, name: str, numbers: tuple[int, ...]) -> None:
        text = ", ".join(map(str, numbers))
        self.structures.append(f"static const {kind} {name} = {{{text}}};\n")

    def _quantity(self, name: str) -> Quantity:
        return self.quantized.quantities[name]

    def _at(self, name: str) -> str:
        """Where a result begins; layers are told where an input without a frame is."""
        is_told = name == self.quantized.given and not self.quantized.is_framed
        return "input" if is_told else super()._at(name)
