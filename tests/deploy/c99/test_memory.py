"""Where results lie: nothing is overwritten that is still read, and hardly a byte is wasted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings

from pruneflow.deploy.c99.layout import NO_FRAME, Layout
from pruneflow.deploy.c99.memory import Buffer, Memory, memory_of
from pruneflow.deploy.c99.program import COPY, POOLS, Pass, Program, program_of
from pruneflow.deploy.graphs.graph import INPUT, Graph, Node
from pruneflow.deploy.graphs.ops import ACTIVATIONS, Shape
from pruneflow.deploy.tracing.trace import trace
from pruneflow.zoo.models import MODELS
from tests.deploy.c99.code import tangles
from tests.deploy.c99.test_parity import CHOSEN
from tests.deploy.native.kernels import meshes
from tests.deploy.networks import KNOWN, Network, networks

Places = npt.NDArray[np.int64]
FRAME = -1
"""What a place of a frame holds."""
EACH = (*ACTIVATIONS, "add", "softmax", "flatten")


class Machine:
    """Memory that knows of every place which number of which result is there."""

    def __init__(self, program: Program, memory: Memory) -> None:
        self.program, self.memory = program, memory
        self.held = {
            "input": np.full(program.layouts[INPUT].size, -9),
            "output": np.full(program.layouts[program.output].size, -9),
            "workspace": np.full(memory.size, -9),
        }
        self.numbers = {name: i for i, name in enumerate([*program.layouts, *memory.planes])}

    def run(self) -> None:
        """Make all passes in the order of the C code; fail where a wrong number is read."""
        self.write(INPUT, self.everything(INPUT))
        for one in self.program.passes:
            self.pass_(one)
            assert self.memory.results[one.output].kind != "input"
        self.read(self.program.output, self.everything(self.program.output))

    def pass_(self, one: Pass) -> None:
        """One pass, in steps of reading and then writing."""
        to, op = self.program.layouts[one.output], one.node.op
        at = {self.memory.results[name].offset for name in one.reads}
        stays = self.memory.results[one.output].offset in at and self.shares(one)
        if to.frame != NO_FRAME and not stays and op in ("conv2d", COPY, *POOLS):
            self.write(one.output, np.setdiff1d(self.everything(one.output), self.pixels(to)))
        if op == "linear":
            for row in range(to.size):
                self.read(one.input, self.everything(one.input))
                self.write(one.output, np.array([row]))
        elif op in EACH and not (op == "flatten" and self.has_frame(one.input)):
            for place in range(to.size):
                for name in one.reads:
                    self.read(name, np.array([place]))
                self.write(one.output, np.array([place]))
        elif op == "conv2d":
            self.convolution(one)
        else:  # plane by plane
            for source, out in self.planes(one.input, one.output):
                self.read(one.input, source)
                self.write(one.output, out)

    def convolution(self, one: Pass) -> None:
        """Each plane is begun with a bias or with another result, then every input is read."""
        to = self.program.layouts[one.output]
        plane = self.memory.planes.get(one.output)
        own = self.program.layouts[one.node.name]
        for o in range(own.shape[0]):
            if one.other is not None:
                self.read(one.other, self.pixels(self.program.layouts[one.other], o))
            if plane is None:
                self.write(one.output, self.pixels(to, o))
            else:
                self.fill(plane, one)
            self.read(one.input, self.everything(one.input))
            if plane is not None:
                self.check(plane, one)
                self.write(one.output, self.pixels(to, o))

    # -- places --

    def has_frame(self, name: str) -> bool:
        return self.program.layouts[name].frame != NO_FRAME

    def shares(self, one: Pass) -> bool:
        kind = self.memory.results[one.output].kind
        return any(self.memory.results[name].kind == kind for name in one.reads)

    def everything(self, name: str) -> Places:
        return np.arange(self.program.layouts[name].size)

    def pixels(self, layout: Layout, o: int | None = None) -> Places:
        """Places of a result's own numbers, of all or of one channel."""
        if len(layout.shape) != 3:
            return np.arange(layout.size)
        rows, columns = layout.shape[1:]
        plane = np.arange(rows)[:, None] * layout.pitch + np.arange(columns) + layout.lead
        channels = range(layout.shape[0]) if o is None else [o]
        return np.concatenate([plane.reshape(-1) + c * layout.plane for c in channels])

    def planes(self, source: str, out: str) -> Iterator[tuple[Places, Places]]:
        """Places of each channel, there and here; here it may be part of a vector."""
        a, b = self.program.layouts[source], self.program.layouts[out]
        if len(a.shape) != 3:
            yield self.everything(source), self.everything(out)
            return
        for o in range(a.shape[0]):
            size = prod(a.shape[1:])
            flat = np.arange(o * size, (o + 1) * size)
            yield self.pixels(a, o), self.pixels(b, o) if len(b.shape) == 3 else flat

    def tags(self, name: str, places: Places) -> Places:
        layout = self.program.layouts[name]
        is_own = np.isin(places, self.pixels(layout))
        return np.where(is_own, self.numbers[name] << 32 | places, FRAME)

    def where(self, name: str, places: Places) -> tuple[Places, Any]:
        buffer = self.memory.results[name]
        return self.held[buffer.kind], buffer.offset + places

    def read(self, name: str, places: Places) -> None:
        held, where = self.where(name, places)
        assert (held[where] == self.tags(name, places)).all(), name

    def write(self, name: str, places: Places) -> None:
        held, where = self.where(name, places)
        held[where] = self.tags(name, places)

    def fill(self, plane: Buffer, one: Pass) -> None:
        assert plane.size == prod(self.program.layouts[one.node.name].shape[1:])
        self.held["workspace"][plane.offset : plane.offset + plane.size] = -2

    def check(self, plane: Buffer, one: Pass) -> None:
        assert (self.held["workspace"][plane.offset : plane.offset + plane.size] == -2).all()


def planned(network: Network) -> tuple[Program, Memory]:
    """A network's passes, and where their results lie."""
    program = program_of(network.graph, network.shapes())
    return program, memory_of(program)


@given(networks(most_nodes=8) | meshes() | tangles())
@settings(max_examples=120)
def test_nothing_is_overwritten_that_is_still_read(network: Network) -> None:
    program, memory = planned(network)
    Machine(program, memory).run()


@pytest.mark.parametrize("name", CHOSEN)
def test_nor_in_networks_that_are_easily_got_wrong(name: str) -> None:
    Machine(*planned(CHOSEN[name])).run()


def test_the_machine_sees_an_overlap() -> None:
    """That it can fail: with one result moved onto another that is alive, it does."""
    program, memory = planned(CHOSEN["two shortcuts that cross"])
    crowded = {
        name: Buffer(one.kind, 0, one.size, one.first, one.last)
        for name, one in memory.results.items()
    }
    with pytest.raises(AssertionError):
        Machine(program, Memory(crowded, memory.planes, memory.size)).run()


@given(networks() | meshes() | tangles())
def test_results_alive_together_have_memory_of_their_own(network: Network) -> None:
    program, memory = planned(network)
    for i, one in enumerate(program.passes):
        taken = np.zeros(memory.size, int)
        alive = [
            *(b for name, b in memory.results.items() if b.first < i < b.last or
              (name != one.output and name in one.reads)),
            *(b for name, b in memory.planes.items() if b.first == i),
        ]  # fmt: skip
        for buffer in alive:
            assert buffer.offset + buffer.size <= memory.size or buffer.kind != "workspace"
            if buffer.kind == "workspace":
                taken[buffer.offset : buffer.offset + buffer.size] += 1
        assert taken.max(initial=0) <= 1


# -- how much of it --------------------------------------------------------------------------


def fewest_numbers(graph: Graph, shapes: Mapping[str, Shape], joined: bool = True) -> int:
    """The smallest peak of any order in which a graph can be computed, found by exact search.

    Counted are the numbers of results that are computed and still needed, without any frame; the
    network's input and its output are the caller's. An operation needs its inputs and its result at
    once. An activation, an addition or a softmax may write over an input that is not needed later,
    flattening costs nothing. ``joined``: a convolution that only an addition reads may be added up
    in the place of the other summand, if that is not needed later.

    The search goes from one set of computed results to the next, the one with the lowest peak
    first (Dijkstra's, with the largest in place of the sum).
    """
    nodes = {node.name: node for node in graph.nodes}
    readers = {name: frozenset(n.name for n in graph.consumers(name)) for name in (INPUT, *nodes)}
    costs = {name: prod(shapes[name]) for name in nodes} | {graph.output: 0, INPUT: 0}

    def alive(done: frozenset[str]) -> set[str]:
        return {name for name in done if not readers[name] <= done}

    def steps(done: frozenset[str]) -> Iterator[tuple[frozenset[str], int]]:
        """What can be done next, and what is alive while it is."""
        before = alive(done)
        for node in graph.nodes:
            if node.name in done or not {*node.inputs} <= {INPUT, *done}:
                continue
            after = done | {node.name}
            yield after, peak(before, alive(after), node, node.inputs)
            for sum_ in (nodes[name] for name in readers[node.name]) if joined else ():
                others = [name for name in sum_.inputs if name != node.name]
                one_reader = len(readers[node.name]) == 1 and len(others) == 1
                ready = others[:1] == [INPUT] or done.issuperset(others)
                if node.op == "conv2d" and sum_.op == "add" and one_reader and ready:
                    both = after | {sum_.name}
                    free = () if others[0] in node.inputs else others
                    yield both, peak(before, alive(both), sum_, (*free,))

    def peak(before: set[str], after: set[str], node: Node, inputs: tuple[str, ...]) -> int:
        held = sum(costs[name] for name in before)
        free = {*inputs} - after - {INPUT}
        in_place = node.op in (*ACTIVATIONS, "add", "softmax", "flatten") and free
        return held + (0 if in_place else costs[node.name])

    start: frozenset[str] = frozenset()
    found, order = {start: 0}, count()
    queue = [(0, next(order), start)]
    while queue:
        worst, _, done = heappop(queue)
        if len(done) == len(nodes):
            return worst
        for after, needed in steps(done):
            reached = max(worst, needed)
            if reached < found.get(after, reached + 1):
                found[after] = reached
                heappush(queue, (reached, next(order), after))
    raise AssertionError("it cannot be computed")


def figures(graph: Graph, tensors: Mapping[str, torch.Tensor]) -> tuple[int, int, int]:
    """Numbers: of the workspace, at best, and at best with every operation by itself."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    results = graph.shapes(shapes)
    size = memory_of(program_of(graph, shapes)).size
    return size, fewest_numbers(graph, results), fewest_numbers(graph, results, joined=False)


@pytest.mark.parametrize(
    ("channels", "side", "most"),
    [(3, 32, 1.10), (1, 28, 1.12)],  # frames around 14 x 14 pixels weigh more than around 16 x 16
)
def test_resnet20_takes_hardly_more_than_any_order_needs(
    channels: int, side: int, most: float
) -> None:
    model = MODELS["resnet20"]({"name": "sgd", "lr": 0.1}, channels=channels).eval()
    traced = trace(model, torch.zeros(2, channels, side, side))
    size, fewest, alone = figures(traced.graph, traced.tensors)
    widest = 16 * side * side
    assert (fewest, alone) == (2 * widest, 3 * widest)  # a block's input, what is between, its sum
    assert fewest <= size <= most * fewest
    assert size <= 0.75 * alone


@pytest.mark.parametrize("name", KNOWN)
def test_other_networks_take_less_than_every_operation_by_itself(name: str) -> None:
    build, shape = KNOWN[name]
    traced = trace(build().eval(), torch.zeros(2, *shape))
    size, _, alone = figures(traced.graph, traced.tensors)
    assert size <= 1.1 * alone


def test_the_search_finds_the_better_order() -> None:
    """Two branches, of 100 and 1 after a wide layer each: the one that ends narrow goes first."""

    def wide(name: str, source: str, out: int) -> Node:
        return Node(name, "linear", (source,), f"{name}{out}")

    nodes = (wide("a", "input", 10), wide("b", "input", 90), wide("c", "b", 1),
             wide("d", "a", 1), Node("e", "add", ("c", "d")), wide("f", "e", 3))  # fmt: skip
    graph = Graph((5,), nodes, "f")
    tensors = {"a10": (10, 5), "b90": (90, 5), "c1": (1, 90), "d1": (1, 10), "f3": (3, 1)}
    # in the order that stands there a and b are alive together: 10 + 90 + 1
    assert fewest_numbers(graph, graph.shapes(tensors)) == 90 + 1
