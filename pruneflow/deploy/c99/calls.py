"""A pass as lines of C, and the constants it needs."""

from __future__ import annotations

from collections.abc import Iterator

from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.arrays import TYPES, number
from pruneflow.deploy.c99.functions import Functions
from pruneflow.deploy.c99.layout import NO_FRAME
from pruneflow.deploy.c99.program import COPY, POOLS, Pass
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.c99.windows import MOST
from pruneflow.deploy.graphs.graph import Node
from pruneflow.errors import DeployError

LIMITS = {"relu": ("0.0f", "FLT_MAX"), "relu6": ("0.0f", "6.0f")}
NO_LIMITS = ("-FLT_MAX", "FLT_MAX")


class Calls:
    """Writes passes.

    Args:
        unit: The network.
        functions: Is asked for the functions that are called.

    Attributes:
        structures: Constants that the calls written so far point to.
    """

    def __init__(self, unit: Unit, functions: Functions) -> None:
        self.unit = unit
        self.functions = functions
        self.structures: list[str] = []
        self._memory = unit.memory
        self._layouts = unit.program.layouts

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

    def _heading(self, one: Pass) -> str:
        shape = " x ".join(map(str, self._layouts[one.output].shape))
        return f"/* {one.node.op} {self.unit.plain[one.node.name]}: {shape} */"

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

    def _conv(self, one: Pass) -> Iterator[str]:
        """A convolution, one output plane after the other."""
        node, label = one.node, self.unit.labels[one.node.name]
        weight, source = self.unit.weights[node.name], self._layouts[one.input]
        out, to = self._layouts[node.name].shape, self._layouts[one.output]
        plane = self._memory.planes.get(one.output)
        pitch = to.pitch if plane is None else out[2]
        target = f"{plus(self._at(one.output), to.lead)} + o * {to.plane}"
        is_dense, scales = weight.layout == "dense", weight.coded.scales
        sides = self._sides(one)
        shape = windows.conv_shape(node, self.unit.shapes[node.name], source, sides, pitch)
        name = self._structure("conv_shape", node, shape)
        given = [f"&{name}", *([] if is_dense else [f"{label}_counts[o]", "index"]), "values"]
        given += [self._group(one), *([] if scales is None else [f"{label}_scales[o]"]), "to"]
        used = f"{weight.coded.codes.shape[1]}" if is_dense else f"{label}_counts[o]"
        yield "{"
        if weight.index is not None:
            yield f"    const {TYPES[weight.index.dtype.name]} *index = {label}_index;"
        yield f"    const {TYPES[weight.entries.dtype.name]} *values = {label}_values;"
        yield f"    for (uint32_t o = 0; o < {out[0]}; o++) {{"
        start = target if plane is None else f"numbers + {plane.offset}"
        yield f"        float *const to = {start};"
        yield from (f"        {line}" for line in self._begun(one, pitch))
        yield f"        {self._function(node)}({', '.join(given)});"
        if sides != out[1:] and to.frame[1]:
            columns = f"to + {out[2]}, {out[1] - 1}, {to.frame[1]}, {pitch}"
            yield f"        {self._use('fill')}({columns}, 0.0f);"
        if not is_dense:
            yield f"        index += {used};"
        yield f"        values += {used};"
        size = (out[1] - 1) * pitch + out[2]
        clamps = one.activation is not None and one.activation.op in LIMITS
        swaps = clamps and one.pool is not None and one.pool.op == "max_pool2d"  # fewer to clamp
        if clamps and not swaps:
            yield f"        {self._use('clamp_all')}(to, to, {size}, {self._limits(one)});"
        yield from (f"        {line}" for line in self._leaks(one, "to", size))
        if one.pool is not None:
            yield f"        {self._pool(one.pool, pitch, 'to', to.pitch, target)}"
        if swaps:
            size = (to.shape[1] - 1) * to.pitch + to.shape[2]
            clamp, limits = self._use("clamp_all"), self._limits(one)
            yield f"        {clamp}({target}, {target}, {size}, {limits});"
        yield "    }"
        yield "}"

    def _function(self, node: Node) -> str:
        """The function of a convolution, with blocks for every convolution that uses it."""
        found = {
            other.name: (weight.layout, weight.coded.values, windows.is_strided(other))
            for other in self.unit.program.graph.nodes
            if other.op == "conv2d" and (weight := self.unit.weights[other.name])
        }
        passes = [one for one in self.unit.program.passes if one.node.name in found]
        mates = [one for one in passes if found[one.node.name] == found[node.name]]
        return self.functions.conv(*found[node.name], map(self._sides, mates))

    def _sides(self, one: Pass) -> tuple[int, int]:
        """Rows and columns of the outputs that a convolution computes."""
        rows, columns = self._layouts[one.node.name].shape[1:]
        to = None if one.pool is not None else self._layouts[one.output]
        return windows.sides(one.node, (rows, columns), self._layouts[one.input], to)

    def _begun(self, one: Pass, pitch: int) -> Iterator[str]:
        """What an output plane is before weights are added: the bias, and another result."""
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

    def _group(self, one: Pass) -> str:
        """Where the input of output plane ``o`` begins."""
        groups, source = one.node.options["groups"], self._layouts[one.input]
        assert isinstance(groups, int)
        x = plus(self._at(one.input), windows.origin(one.node, source))
        if groups == 1:
            return x
        each = self._layouts[one.node.name].shape[0] // groups
        step = source.shape[0] // groups * source.plane
        return f"{x} + o * {step}" if each == 1 else f"{x} + o / {each} * {step}"

    def _copied(self, one: Pass) -> Iterator[str]:
        """A map in another frame, or flattened out of its frame."""
        source, to = self._layouts[one.input], self._layouts[one.output]
        planes, rows, columns = source.shape if len(source.shape) == 3 else (1, 1, source.size)
        pitch, plane = (to.pitch, to.plane) if len(to.shape) == 3 else (columns, rows * columns)
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

    def _structure(self, kind: str, node: Node, numbers: list[int]) -> str:
        name = f"{self.unit.labels[node.name]}_shape"
        most = max(numbers if kind == "pool_shape" else numbers[2:-2])  # others have 32 bits
        if most > MOST:
            raise DeployError(
                f"deploy.target=c99: {node.name} has a side, a stride or a padding of {most}, "
                f"more than {MOST}"
            )
        text = ", ".join(map(str, numbers))
        self.structures.append(f"static const {kind} {name} = {{{text}}};\n")
        return name

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

    def _use(self, name: str) -> str:
        return self.functions.plain(name)

    def _at(self, name: str) -> str:
        """Where a result begins, its frame included."""
        buffer = self._memory.results[name]
        return plus("numbers", buffer.offset) if buffer.kind == "workspace" else buffer.kind


def plus(start: str, offset: int) -> str:
    """A place some numbers behind another."""
    return f"{start} + {offset}" if offset else start
