"""A pass as lines of C, and the constants it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.arrays import number
from pruneflow.deploy.c99.convolutions import Convolutions, plus
from pruneflow.deploy.c99.layout import NO_FRAME
from pruneflow.deploy.c99.program import COPY, POOLS, Pass
from pruneflow.deploy.graphs.graph import Node

LIMITS = {"relu": ("0.0f", "FLT_MAX"), "relu6": ("0.0f", "6.0f")}
NO_LIMITS = ("-FLT_MAX", "FLT_MAX")


class Calls(Convolutions):
    """Writes passes; see base class."""

    def of(self, one: Pass) -> Iterator[str]:
        """The lines of a pass."""
        yield self._heading(one)
        yield from self._cleared(one)
        op = one.node.op
        if op == "linear":
            yield from self._linear(one)
        elif op == "conv2d":
            yield from self._conv(one)
        elif op in (COPY, "flatten"):
            yield from self._copied(one)
        elif op == "add" or op in LIMITS or op in ("leaky_relu", "softmax"):
            yield from self._each(one)
        else:
            source, out = self._layouts[one.input], self._layouts[one.output]
            x, y = (
                plus(self._at(name), self._layouts[name].lead) for name in (one.input, one.output)
            )
            yield f"for (uint32_t o = 0; o < {out.shape[0]}; o++)"
            pool = self._pool(
                one.node,
                source.pitch,
                f"{x} + o * {source.plane}",
                out.pitch,
                f"{y} + o * {out.plane}",
            )
            yield f"    {pool}"

    def _each(self, one: Pass) -> Iterator[str]:
        """A pass over all numbers, frames included: zeros stay zeros."""
        x, y, size = self._at(one.input), self._at(one.output), self._layouts[one.output].size
        op, limits = one.node.op, self._limits(one)
        if op == "add":
            assert one.other is not None
            yield f"{self._use('add')}({x}, {self._at(one.other)}, {y}, {size}, {limits});"
        elif op == "softmax":
            yield f"{self._use('softmax')}({x}, {y}, {size});"
        elif op == "leaky_relu":
            yield self._leaky(one.node, x, y, size)
        else:
            yield f"{self._use('clamp_all')}({x}, {y}, {size}, {', '.join(LIMITS[op])});"
        yield from self._leaks(one, y, size)

    def _linear(self, one: Pass) -> Iterator[str]:
        label, weight = self.unit.labels[one.node.name], self.unit.weights[one.node.name]
        rows, columns = weight.coded.codes.shape
        sizes = [rows, columns] if weight.layout == "dense" else [rows]
        parts = [] if weight.layout == "dense" else [f"{label}_counts", f"{label}_index"]
        parts.append(f"{label}_values")
        if weight.coded.scales is not None:
            parts.append(f"{label}_scales")
        parts.append(f"{label}_bias" if one.node.name in self.unit.biases else "NULL")
        x, y = self._at(one.input), self._at(one.output)
        yield f"{self.functions.linear(weight.layout, weight.coded.values)}("
        yield f"    {', '.join([*map(str, sizes), *parts])},"
        yield f"    {self._limits(one)}, {x}, {y});"
        yield from self._leaks(one, y, rows)

    def _given(self, one: Pass) -> list[str]:
        """See base class."""
        scales = self.unit.weights[one.node.name].coded.scales
        return [] if scales is None else [f"{self.unit.labels[one.node.name]}_scales[o]"]

    def _finished(self, one: Pass, pitch: int, target: str) -> Iterator[str]:
        """See base class."""
        out, to = self._layouts[one.node.name].shape, self._layouts[one.output]
        size = (out[1] - 1) * pitch + out[2]
        clamps = one.activation is not None and one.activation.op in LIMITS
        swaps = clamps and one.pool is not None and one.pool.op == "max_pool2d"  # fewer to clamp
        if clamps and not swaps:
            yield f"{self._use('clamp_all')}(to, to, {size}, {self._limits(one)});"
        yield from self._leaks(one, "to", size)
        if one.pool is not None:
            yield self._pool(one.pool, pitch, "to", to.pitch, target)
        if swaps:
            size = (to.shape[1] - 1) * to.pitch + to.shape[2]
            yield f"{self._use('clamp_all')}({target}, {target}, {size}, {self._limits(one)});"

    def _kind(self, one: Pass) -> tuple[Any, ...]:
        """See base class."""
        weight = self.unit.weights[one.node.name]
        return weight.layout, weight.coded.values, windows.is_strided(one.node)

    def _written(self, kind: tuple[Any, ...], sides: list[tuple[int, int]]) -> str:
        """See base class."""
        layout, values, strided = kind
        return self.functions.conv(layout, values, strided, sides)

    def _sides(self, one: Pass) -> tuple[int, int]:
        """See base class."""
        rows, columns = self._layouts[one.node.name].shape[1:]
        to = None if one.pool is not None else self._layouts[one.output]
        return windows.sides(one.node, (rows, columns), self._layouts[one.input], to)

    def _begun(self, one: Pass, pitch: int) -> Iterator[str]:
        """See base class: the bias, and another result."""
        _, rows, columns = self._layouts[one.node.name].shape
        label, size = self.unit.labels[one.node.name], f"{rows}, {columns}, {pitch}"
        bias = f"{label}_bias[o]" if one.node.name in self.unit.biases else None
        if one.other is None:
            yield f"{self._use('fill')}(to, {size}, {bias or '0.0f'});"
            return
        other = self._layouts[one.other]
        start = f"{plus(self._at(one.other), other.lead)} + o * {other.plane}"
        if self._at(one.other) != self._at(one.output) or one.pool is not None:
            yield f"{self._use('copy')}({start}, {other.pitch}, to, {pitch}, {rows}, {columns});"
        if bias is not None:
            yield f"{self._use('add_value')}(to, {size}, {bias});"

    def _copied(self, one: Pass) -> Iterator[str]:
        """A map in another frame, or flattened out of its frame."""
        source, to = self._layouts[one.input], self._layouts[one.output]
        (planes, rows, columns), plane, pitch = windows.moved(source, to)
        x, y = plus(self._at(one.input), source.lead), plus(self._at(one.output), to.lead)
        self._use("copy")
        yield f"for (uint32_t o = 0; o < {planes}; o++)"
        yield (
            f"    copy({x} + o * {source.plane}, {source.pitch}, {y} + o * {plane}, {pitch}, "
            f"{rows}, {columns});"
        )

    def _cleared(self, one: Pass) -> Iterator[str]:
        """Zeros in a new frame."""
        to, y = self._layouts[one.output], self._at(one.output)
        old = {self._at(name) for name in one.reads}
        if to.frame != NO_FRAME and y not in old and one.node.op in ("conv2d", COPY, *POOLS):
            numbers = ", ".join(map(str, (*to.shape, *to.frame)))
            yield f"{self._use('clear_frame')}({y}, {numbers});"

    def _pool(self, node: Node, pitch: int, x: str, out_pitch: int, y: str) -> str:
        source, out = (self._layouts[name].shape for name in (node.inputs[0], node.name))
        pool = windows.whole(node, source) if node.op == "global_avg_pool" else node
        numbers = windows.pool_shape(pool, source, pitch, out, out_pitch)
        name = "max_pool" if node.op == "max_pool2d" else "average_pool"
        name = "max_pool_2x2" if windows.is_halving(pool, source) else name
        self._use(name)
        return f"{name}(&{self._structure('pool_shape', node, numbers)}, {x}, {y});"

    def _leaks(self, one: Pass, y: str, size: int) -> Iterator[str]:
        if one.activation is not None and one.activation.op == "leaky_relu":
            yield self._leaky(one.activation, y, y, size)

    def _leaky(self, node: Node, x: str, y: str, size: int) -> str:
        slope = node.options["slope"]
        assert isinstance(slope, int | float)
        return f"{self._use('leaky_relu')}({x}, {y}, {size}, {number(slope)});"

    def _limits(self, one: Pass) -> str:
        op = one.activation.op if one.activation else ""
        return ", ".join(LIMITS.get(op, NO_LIMITS))
