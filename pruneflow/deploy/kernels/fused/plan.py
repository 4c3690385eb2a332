"""A network as the pieces of work that the fused kernel knows, and the weights beside them.

A piece is a kind, whether it has to wait for the pieces before, what it does, and what becomes of
its results: the numbers in the order in which ``gather``, ``passes`` and ``access.finish`` declare
them. Several pieces may make up one step: a layer's rectangles, and the border of its maps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import prod
from typing import Any, cast

import torch

from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.graphs.ops import Shape
from pruneflow.deploy.kernels.fused.packing import Rectangle, rectangles
from pruneflow.deploy.kernels.fused.places import NOTHING, OUTSIDE, Map, Places
from pruneflow.deploy.kernels.fused.steps import Step, Steps
from pruneflow.deploy.kernels.nodes import activation_of

Numbers = tuple[Any, ...]
KINDS = ("gather", "pool", "mean", "copy", "border")
"""By number, as ``kernel.fused_network`` knows them."""

Piece = tuple[str, bool, Numbers, Numbers]
"""Kind, whether it waits, what it does, what becomes of its results."""

LINE = 16
"""Widths of a linear layer's rectangles are multiples of this: lanes go along its weights."""

VECTOR = 8
"""Widths of a convolution's: what one thread reads at once."""


@dataclass(frozen=True)
class Plan:
    """What to do for each sample.

    Attributes:
        pieces: In their order.
        arena: Floats between the input and the output.
        output: Shape of the output.
    """

    pieces: tuple[Piece, ...]
    arena: int
    output: Shape

    def to_json(self) -> str:
        """As text, which a torch operation can be given."""
        return json.dumps(asdict(self))

    @classmethod
    @lru_cache(maxsize=64)
    def from_json(cls, text: str) -> Plan:
        """From what ``to_json`` wrote."""
        tree = json.loads(text)
        return cls(_tuples(tree["pieces"]), tree["arena"], tuple(tree["output"]))

    def phases(self) -> list[tuple[int, int]]:
        """First pieces, and those behind the last, of what may run without waiting."""
        starts = [i for i, piece in enumerate(self.pieces) if piece[1] or i == 0]
        return list(zip(starts, [*starts[1:], len(self.pieces)], strict=True))


class Planner:
    """Plans a network.

    Args:
        graph: The network.
        tensors: Its weights and biases, on the CPU, all of one dtype.

    Attributes:
        plan: The plan.
        parts: Places of weights' inputs, the weights, numbers of rows, and rows' biases; each in
            the order of the pieces.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, torch.Tensor]) -> None:
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        self._tensors = tensors
        self._places = Places(Steps(graph, shapes))
        self._packed: list[tuple[Rectangle, torch.Tensor]] = []
        pieces: list[Piece] = []
        phase = 0
        for step, own in zip(self._places.steps, self._places.phases, strict=True):
            for kind, numbers, ends in self._pieces(step):
                pieces.append((kind, own > phase, numbers, ends))
                phase = own
        self.plan = Plan(tuple(pieces), self._places.arena, graph.shapes(shapes)[graph.output])
        self.parts = self._parts()

    def _parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        whole, number = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.float32)
        rectangles = [each for each, _ in self._packed]
        places = torch.cat([*(each.places.flatten() for each in rectangles), whole])
        rows = torch.cat([*(each.rows for each in rectangles), whole])
        values = torch.cat([*(each.values.flatten() for each in rectangles), number])
        biases = torch.cat([*(bias for _, bias in self._packed), number])
        dtype = next((tensor.dtype for tensor in self._tensors.values()), torch.float32)
        if int(places.max()) < 1 << 16:
            places = places.to(torch.uint16).view(torch.int16)
        else:
            places = places.to(torch.int32)
        return places, values.to(dtype), rows.to(torch.int32), biases

    def _pieces(self, step: Step) -> Iterator[tuple[str, Numbers, Numbers]]:
        source = self._source(step)
        target = self._places.maps[step.output]
        if step.node is None:
            yield "copy", (*source.operand(), prod(source.sides)), self._ends(step, step.before)
        elif step.node.weight is not None:
            yield from self._layer(step, step.node, source)
        elif step.node.op == "global_avg_pool":
            numbers = (*source.operand(), source.sides[0])
            yield "mean", numbers, self._ends(step, step.before)
        else:
            yield "pool", _windows(step, step.node, source), self._ends(step, step.before)
        if any(target.border):
            yield "border", (target.start, *target.sides, *target.border), ()

    def _source(self, step: Step) -> Map:
        """What a step reads; the one that takes the input over reads the input itself."""
        source = self._places.maps[step.source]
        return Map(OUTSIDE, source.sides) if step.source == step.output else source

    def _layer(self, step: Step, node: Node, source: Map) -> Iterator[tuple[str, Numbers, Numbers]]:
        """One piece for every rectangle of a layer's weight."""
        assert node.weight is not None
        weight = self._tensors[node.weight]
        none = torch.zeros(len(weight), dtype=torch.float32)
        bias = none if node.bias is None else self._tensors[node.bias].float()
        if node.op == "linear":
            start, moves, positions = source.operand()[0], (0, 0, 1), 1
            places, unit = source.places(), LINE
        else:
            options = cast(Mapping[str, list[int]], node.options)
            (down, right), (above, beside) = options["stride"], options["padding"]
            start = source.operand((above, beside))[0]
            moves, positions = (down * source.pitch, right, step.sides[2]), prod(step.sides[1:])
            places, unit = _convolved(node, weight, source), VECTOR
        before, halved = activation_of(step.before).numbers, int(step.halved is not None)
        for each in rectangles(weight.flatten(1), places, unit, positions << 2 * halved):
            first = sum(one.places.numel() for one, _ in self._packed)
            row = sum(len(one.rows) for one, _ in self._packed)
            self._packed.append((each, bias[each.rows]))
            numbers = (
                start, *moves, positions, halved, *before,
                first, each.width, row, len(each.rows),
            )  # fmt: skip
            yield "gather", numbers, self._ends(step, None)

    def _ends(self, step: Step, before: Node | None) -> Numbers:
        """What becomes of a step's results."""
        maps = self._places.maps
        other = NOTHING if step.other is None else maps[step.other].operand()
        target = maps[step.output].operand()
        return (*activation_of(before).numbers, *other, *activation_of(step.after).numbers, *target)


def _convolved(node: Node, weight: torch.Tensor, source: Map) -> torch.Tensor:
    """(rows, columns): where a convolution's first position reads, from its window's corner on."""
    groups, (down, right) = node.options["groups"], cast(list[int], node.options["dilation"])
    assert isinstance(groups, int)
    out, channels, high, wide = weight.shape
    own = torch.arange(out) // (out // groups) * channels * source.plane
    columns = (
        torch.arange(channels)[:, None, None] * source.plane
        + torch.arange(high)[:, None] * (down * source.pitch)
        + torch.arange(wide) * right
    )
    return own[:, None] + columns.flatten()


def _windows(step: Step, node: Node, source: Map) -> Numbers:
    """The numbers of a pool."""
    options = cast(Mapping[str, list[int]], node.options)
    start, _, _, plane, pitch = source.operand()
    return (
        start, *source.sides, plane, pitch, *step.sides[1:],
        int(node.op == "avg_pool2d"), int(bool(options.get("count_include_pad", False))),
        *options["kernel"], *options["stride"], *options["padding"],
        *options.get("dilation", [1, 1]),
    )  # fmt: skip


def _tuples(tree: Any) -> Any:
    return tuple(_tuples(each) for each in tree) if isinstance(tree, list) else tree
