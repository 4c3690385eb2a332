"""A convolution as lines of C, one output plane after the other: for floats and for bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from pruneflow.deploy.c99 import windows
from pruneflow.deploy.c99.arrays import TYPES
from pruneflow.deploy.c99.functions import Functions
from pruneflow.deploy.c99.program import Pass
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.c99.windows import MOST
from pruneflow.deploy.graphs.graph import Node
from pruneflow.errors import DeployError


class Convolutions(ABC):
    """Writes convolutions, and what every pass needs.

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

    def _heading(self, one: Pass) -> str:
        shape = " x ".join(map(str, self._layouts[one.output].shape))
        return f"/* {one.node.op} {self.unit.plain[one.node.name]}: {shape} */"

    def _conv(self, one: Pass) -> Iterator[str]:
        """A convolution, one output plane after the other."""
        node, label = one.node, self.unit.labels[one.node.name]
        weight, source = self.unit.weights[node.name], self._layouts[one.input]
        out, to = self._layouts[node.name].shape, self._layouts[one.output]
        plane = self._memory.planes.get(one.output)
        pitch = to.pitch if plane is None else out[2]
        target = f"{plus(self._at(one.output), to.lead)} + o * {to.plane}"
        is_dense, sides = weight.layout == "dense", self._sides(one)
        shape = windows.conv_shape(node, self.unit.shapes[node.name], source, sides, pitch)
        name = self._structure("conv_shape", node, shape)
        given = [f"&{name}", *([] if is_dense else [f"{label}_counts[o]", "index"]), "values"]
        given += [self._group(one), *self._given(one), "to"]
        used = f"{weight.coded.codes.shape[1]}" if is_dense else f"{label}_counts[o]"
        yield "{"
        if weight.index is not None:
            yield f"    const {TYPES[weight.index.dtype.name]} *index = {label}_index;"
        yield f"    const {TYPES[weight.entries.dtype.name]} *values = {label}_values;"
        yield f"    for (uint32_t o = 0; o < {out[0]}; o++) {{"
        start = target if plane is None else f"numbers + {plane.offset}"
        yield f"        {self.unit.number} *const to = {start};"
        yield from (f"        {line}" for line in self._begun(one, pitch))
        yield f"        {self._function(one)}({', '.join(given)});"
        if sides != out[1:] and to.frame[1]:
            columns = f"to + {out[2]}, {out[1] - 1}, {to.frame[1]}, {pitch}"
            yield f"        {self._use('fill')}({columns}, 0.0f);"
        if not is_dense:
            yield f"        index += {used};"
        yield f"        values += {used};"
        yield from (f"        {line}" for line in self._finished(one, pitch, target))
        yield "    }"
        yield "}"

    def _function(self, one: Pass) -> str:
        """The function of a convolution, with blocks for every convolution that uses it."""
        kind = self._kind(one)
        convs = (each for each in self.unit.program.passes if each.node.op == "conv2d")
        sides = [self._sides(each) for each in convs if self._kind(each) == kind]
        return self._written(kind, sides)

    @abstractmethod
    def _begun(self, one: Pass, pitch: int) -> Iterator[str]:
        """What an output plane is before weights are added."""

    @abstractmethod
    def _given(self, one: Pass) -> list[str]:
        """What the function of a convolution is given between its input and its output."""

    @abstractmethod
    def _finished(self, one: Pass, pitch: int, target: str) -> Iterator[str]:
        """What becomes of an output plane once weights are added."""

    @abstractmethod
    def _kind(self, one: Pass) -> tuple[Any, ...]:
        """What tells the function of a convolution from others."""

    @abstractmethod
    def _written(self, kind: tuple[Any, ...], sides: list[tuple[int, int]]) -> str:
        """A function of that kind, for outputs of these rows and columns."""

    @abstractmethod
    def _sides(self, one: Pass) -> tuple[int, int]:
        """Rows and columns of the outputs that a convolution computes."""

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

    def _use(self, name: str) -> str:
        return self.functions.plain(name)

    def _at(self, name: str) -> str:
        """Where a result begins, its frame included."""
        buffer = self._memory.results[name]
        return plus("numbers", buffer.offset) if buffer.kind == "workspace" else buffer.kind


def plus(start: str, offset: int) -> str:
    """A place some numbers behind another."""
    return f"{start} + {offset}" if offset else start
