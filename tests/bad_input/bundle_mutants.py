"""Bundles that are damaged, and bundles that lie under a right checksum."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from pruneflow.deploy.bundles import bundle
from pruneflow.deploy.bundles.packing import pack
from pruneflow.deploy.choice import Cell, Choice
from pruneflow.deploy.formats.bsr import Bsr
from pruneflow.deploy.formats.nm import NM
from pruneflow.deploy.graphs.graph import Graph, Node
from tests.deploy.formats import making
from tests.deploy.test_bundle_hostile import (
    ACCIDENTS,
    VALUES,
    altered,
    crafted,
    put_together,
    resized,
    taken_apart,
)

Options = dict[str, Any]
LAYOUTS: tuple[Any, ...] = ("gaps8", "rice", "csr16", NM(2, 4), Bsr((2, 3)), "bitmask", "dense")
CODECS = ("fp32", "int8", "fp16", "bf16")


@dataclass(frozen=True)
class Mutant:
    """A bundle that is perhaps wrong.

    Attributes:
        what: What was done to it.
        data: Its bytes.
    """

    what: str
    data: bytes


def _weight(shape: tuple[int, ...]) -> torch.Tensor:
    """Two of every four numbers are zero."""
    numel = torch.Size(shape).numel()
    index = torch.arange(numel)
    return torch.where(index % 4 < 2, (index * 37 % 19 - 9.5) / 8, 0.0).reshape(shape)


def _graph() -> Graph:
    """A small network with one of every operation."""
    window: Options = {"stride": [1, 1], "padding": [1, 1], "dilation": [1, 1]}
    pool: Options = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "ceil_mode": True}
    nodes = [
        Node("conv1", "conv2d", ("input",), "conv1.weight", "conv1.bias", {**window, "groups": 1}),
        Node("relu1", "relu", ("conv1",)),
        Node("conv2", "conv2d", ("relu1",), "conv2.weight", None, {**window, "groups": 2}),
        Node("sum", "add", ("conv2", "conv1")),
        Node("pool1", "max_pool2d", ("sum",), options={**pool, "dilation": [1, 1]}),
        Node("relu6", "relu6", ("pool1",)),
        Node("pool2", "avg_pool2d", ("relu6",), options={**pool, "count_include_pad": False}),
        Node("conv3", "conv2d", ("pool2",), "conv3.weight", None,
             {**window, "padding": [0, 0], "groups": 1}),
        Node("mean", "global_avg_pool", ("conv3",)),
        Node("flat", "flatten", ("mean",)),
        Node("fc1", "linear", ("flat",), "fc1.weight", "fc1.bias"),
        Node("leaky", "leaky_relu", ("fc1",), options={"slope": 0.01}),
        Node("fc2", "linear", ("leaky",), "fc2.weight", None),
        Node("odds", "softmax", ("fc2",)),
    ]  # fmt: skip
    return Graph((2, 9, 9), tuple(nodes), "odds")


WEIGHTS = {
    "conv1.weight": (4, 2, 3, 3), "conv2.weight": (4, 2, 3, 3), "conv3.weight": (8, 4, 1, 1),
    "fc1.weight": (12, 8), "fc2.weight": (5, 12),
}  # fmt: skip


@cache
def seeds() -> tuple[bytes, ...]:
    """Right bundles: one of everything, and networks in several layouts and codecs."""
    made = [bundle.encode(making.tensors(), making.GRAPH, making.PREPROCESSING, making.CHOICE)]
    graph = _graph()
    for turn in range(len(LAYOUTS)):
        tensors: dict[str, Any] = {}
        for at, (name, shape) in enumerate(WEIGHTS.items()):
            layout, codec = LAYOUTS[(turn + at) % len(LAYOUTS)], CODECS[(turn + at) % len(CODECS)]
            tensors[name] = pack(name, _weight(shape), None, layout, codec)
        tensors |= {"conv1.bias": torch.arange(4) / 4, "fc1.bias": torch.arange(12) / 8 - 0.5}
        cells = tuple(Cell(1, batch, engine) for batch, engine in ((1, "c"), (16, "torch")))
        layers = {"fc1": "c", "fc2": "torch_csr"}
        choice = Choice((*cells, Cell(2, 4, "by_layer", layers)), "a processor")
        made.append(bundle.encode(tensors, graph.to_json(), {"mean": [0.5]}, choice.to_json()))
    return tuple(made)


def damaged(data: bytes, chance: random.Random) -> Mutant:
    """An accident: bits flipped, bytes lost, gained or exchanged."""
    happened = chance.choice(ACCIDENTS)
    return Mutant(happened.__name__, bytes(happened(bytearray(data), chance)))


def lied(data: bytes, chance: random.Random) -> Mutant:
    """A header, a descriptor or bytes changed anywhere, and signed."""
    return Mutant("crafted", crafted(data, chance))


GRAPH_VALUES: list[Any] = [
    *VALUES, "input", "conv1", "odds", "relu", "linear", "conv2d", "flatten", "conv1.weight",
    "fc2.weight", "nobody", [0, 0], [1, 1], [-1, 1], [65_535, 65_535], [65_536, 1], 65_535,
    [3, 3], [1.0, 1], [True, 1], 1e308, -1e308, 5e-324, -0.0, [2**24, 16, 1], [16_384, 16_384],
    "x" * 501, "a b", "\x1b[2J", ["input"], ["input", "input"], ["odds"], ["conv1", "nobody"],
]  # fmt: skip


def ungraphed(data: bytes, chance: random.Random) -> Mutant:
    """A network changed in one or two places: cycles, names twice, shapes that do not fit."""
    header, descriptor, body = taken_apart(data)
    graph = descriptor["graph"]
    if not isinstance(graph, dict) or len(graph.get("nodes", ())) < 2:
        return lied(data, chance)
    what = []
    for _ in range(chance.choice([1, 1, 2])):
        if not isinstance(graph.get("nodes"), list) or not graph["nodes"]:
            break  # the first change left nothing to change
        change = chance.choice(GRAPH_CHANGES)
        what.append(change.__name__)
        change(graph, chance)
    return Mutant("graph: " + ", ".join(what), put_together(header, descriptor, body))


def _somewhere(graph: Any, chance: random.Random) -> None:
    altered(graph, chance)


def _option(graph: Any, chance: random.Random) -> None:
    node = chance.choice(graph["nodes"])
    options = node.get("options") if isinstance(node, dict) else None
    if isinstance(options, dict) and options:
        options[chance.choice(list(options))] = copy.deepcopy(chance.choice(GRAPH_VALUES))


def _field(graph: Any, chance: random.Random) -> None:
    node = chance.choice(graph["nodes"])
    if isinstance(node, dict):
        key = chance.choice([*node, "weight", "bias", "options", "extra"])
        node[key] = copy.deepcopy(chance.choice(GRAPH_VALUES))


def _wire(graph: Any, chance: random.Random) -> None:
    node, other = chance.choice(graph["nodes"]), chance.choice(graph["nodes"])
    if isinstance(node, dict) and isinstance(other, dict) and node.get("inputs"):
        node["inputs"] = [other.get("name"), *node["inputs"][1:]]


def _order(graph: Any, chance: random.Random) -> None:
    chance.shuffle(graph["nodes"])


def _again(graph: Any, chance: random.Random) -> None:
    node = chance.choice(graph["nodes"])
    graph["nodes"] += [copy.deepcopy(node) for _ in range(chance.choice([1, 2, 300]))]


def _size(graph: Any, chance: random.Random) -> None:
    sides = [0, 1, 2, 8, 9, 10, 64, 4096, 2**14, 2**20, -1, 9.0, True]
    graph["input_shape"] = [chance.choice(sides) for _ in range(chance.choice([1, 2, 3, 3, 3, 9]))]


GRAPH_CHANGES: tuple[Callable[[Any, random.Random], None], ...] = (
    _somewhere, _option, _option, _field, _wire, _order, _again, _size,
)  # fmt: skip


def unchosen(data: bytes, chance: random.Random) -> Mutant:
    """What was measured, changed."""
    header, descriptor, body = taken_apart(data)
    if descriptor["choice"]:
        altered(descriptor["choice"], chance)
    return Mutant("choice", put_together(header, descriptor, body))


SHAPES: list[Any] = [
    [2**31 - 1], [2**24, 1], [1, 2**24], [2**20, 2**20], [0], [0, 2**30], [-1, 4], [2**70], [],
    [1] * 17, [1, 1, 1, 1], [True], [3.0, 4], ["3"], [16_777_215], [2**24 + 2**14], [12, 9], [96],
]  # fmt: skip


def unshaped(data: bytes, chance: random.Random) -> Mutant:
    """A packed tensor of another shape, layout or option, its parts as they were."""
    header, descriptor, body = taken_apart(data)
    name = chance.choice(list(descriptor["tensors"]))
    entry = descriptor["tensors"][name]
    options = [key for key in entry if key not in ("format", "shape", "dtype", "values")]
    kind = chance.randrange(4)
    if kind == 0:
        entry["shape"] = chance.choice(SHAPES)
    elif kind == 1 and entry["shape"]:
        at = chance.randrange(len(entry["shape"]))
        entry["shape"][at] = max(0, entry["shape"][at] + chance.choice([-3, -1, 1, 2, 100]))
    elif kind == 2 and options:
        numbers = [0, 1, 2, 3, 4, 7, 31, 32, 33, 2**16, 2**31, 2**63, -1, [1, 2**31], [0, 0], [2]]
        entry[chance.choice(options)] = chance.choice(numbers)
    else:
        other = copy.deepcopy(chance.choice(list(descriptor["tensors"].values())))
        descriptor["tensors"][name] = {**other, "shape": entry["shape"]}
    return Mutant(f"shape of {name}", put_together(header, descriptor, body))


EXTREMES = [b"\0", b"\xff", b"\x7f", b"\x80", b"\x01", b"\x00\x00\xc0\x7f", b"\x00\x00\x80\xff"]


def filled(data: bytes, chance: random.Random) -> Mutant:
    """The bytes of one part replaced: all bits, no bits, NaN, infinity, noise, another part's."""
    header, descriptor, body = taken_apart(data)
    names = [name for name in header if name != "__metadata__"]
    name, other = chance.choice(names), chance.choice(names)
    start, end = header[name]["data_offsets"]
    if chance.random() < 0.3:
        new = resized(header, body, chance)
        return Mutant("resized", put_together(header, descriptor, new))
    filling = chance.choice(
        [*EXTREMES, b"noise", body[slice(*header[other]["data_offsets"])] or b"\0"]
    )
    new = chance.randbytes(end - start) if filling == b"noise" else filling * (end - start)
    at = start + chance.randrange(end - start + 1) * chance.randrange(2)
    whole = body[:at] + new[: end - at] + body[end:]
    return Mutant(f"bytes of {name}", put_together(header, descriptor, whole))


def swapped(data: bytes, chance: random.Random) -> Mutant:
    """Two tensors that stand for each other, their bytes or their descriptions."""
    header, descriptor, body = taken_apart(data)
    where = chance.choice([header, descriptor["tensors"]])
    names = [name for name in where if name != "__metadata__"]
    one, other = chance.choice(names), chance.choice(names)
    where[one], where[other] = where[other], where[one]
    return Mutant("swapped", put_together(header, descriptor, body))


def rewritten(data: bytes, chance: random.Random) -> Mutant:
    """JSON that is not what it was: deep, long, with keys twice or numbers that are none."""
    header, descriptor, body = taken_apart(data)
    text = json.dumps(descriptor)
    at = chance.randrange(len(text))
    pieces = ["[" * 5000, "{", "}", '"', ",", "NaN", "1e999", "-", "9" * 5000, "\\u0000", "\\ud800",
              '"version": 1,', '"version": 2,', "null", " " * 1000]  # fmt: skip
    text = text[:at] + chance.choice(pieces) + text[at + chance.choice([0, 1, 5]) :]
    return Mutant("JSON", put_together(header, text, body))


MUTATORS = (
    damaged, damaged, lied, lied, ungraphed, ungraphed, ungraphed, unchosen, unshaped, unshaped,
    filled, filled, swapped, rewritten,
)  # fmt: skip


def mutant(chance: random.Random) -> Mutant:
    """A bad bundle."""
    while True:
        data = chance.choice(seeds())
        made = chance.choice(MUTATORS)(data, chance)
        if made.data != data:
            return made
