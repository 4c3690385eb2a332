"""Which backend runs a bundle, for each number of threads and each size of batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, prod
from typing import Any, cast

from pruneflow.deploy.bundles.damage import expect, quoted
from pruneflow.deploy.graphs.ops import Shape
from pruneflow.deploy.place import CPU, PRECISIONS, Place

DEFAULT = "torch"
COMPILED = ("torch_compile", "torch_compile_frozen", "torch_compile_max")
"""What takes seconds to be made ready for each size of batch."""

MOST = 2**28
"""Threads, and samples in a call."""

MOST_INPUT = 2**24
"""Numbers in one sample: loading runs the network on two of them."""

_LONGEST = 500
_MOST_DIMENSIONS = 16


@dataclass(frozen=True)
class Cell:
    """One place of the measured grid.

    Attributes:
        threads: Threads that calls may use.
        batch: Samples in a call.
        backend: What won there.
        layers: The winner of each layer, where the backend is ``by_layer``.
    """

    threads: int
    batch: int
    backend: str
    layers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """The measured choice.

    Attributes:
        cells: The winners; none where nothing was measured.
        device: The processor or GPU it was measured on.
        input_shape: Of one sample, where the bundle holds no graph that says it.
        asked: The backend that a person asked for, whatever was measured.
        place: Where it is to run.
        tuned: The tiles that kernels were found to be fastest with, see ``kernels.tuning``.
    """

    cells: tuple[Cell, ...] = ()
    device: str = ""
    input_shape: Shape = ()
    asked: str | None = None
    place: Place = CPU
    tuned: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def best(self, threads: int, batch: int) -> Cell:
        """The winner at the measured place that is nearest, first by threads, then by batch.

        Compiled torch wins where it was measured only; elsewhere dense torch takes its place.
        On a GPU threads make no difference.
        """

        threads = 1 if self.place.is_gpu else threads

        def distance(cell: Cell) -> tuple[float, float]:
            return abs(log(cell.threads / threads)), abs(log(cell.batch / max(batch, 1)))

        dense = Cell(threads, batch, DEFAULT)
        nearest = min(self.cells, key=distance, default=dense)
        is_there = (nearest.threads, nearest.batch) == (threads, batch)
        return nearest if is_there or nearest.backend not in COMPILED else dense

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        cells = [
            {"threads": cell.threads, "batch": cell.batch, "backend": cell.backend}
            | ({"layers": dict(cell.layers)} if cell.layers else {})
            for cell in self.cells
        ]
        tree: dict[str, Any] = {"device": self.device, "cells": cells}
        tree |= {"input_shape": list(self.input_shape)} if self.input_shape else {}
        tree |= {} if self.asked is None else {"asked": self.asked}
        if self.place != CPU:
            tree["place"] = {"device": self.place.device, "precision": self.place.precision}
        return tree | ({"tuned": {k: dict(v) for k, v in self.tuned.items()}} if self.tuned else {})

    @classmethod
    def from_json(cls, tree: Any) -> Choice:
        """What ``to_json`` wrote, or an empty object.

        Raises:
            Damage: It is anything else.
        """
        expect(isinstance(tree, dict), "choice: it is no object")
        if not tree:
            return cls()
        keys = tree.keys() - {"input_shape", "asked", "place", "tuned"}
        expect(keys == {"device", "cells"}, "choice: its keys are not device and cells")
        expect(isinstance(tree["device"], str), "choice.device: it is no text")
        expect(isinstance(tree["cells"], list), "choice.cells: it is no list")
        shape = tree.get("input_shape", [])
        is_short = isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS
        whole = is_short and all(type(n) is int and 0 < n <= MOST_INPUT for n in shape)
        expect(whole and prod(shape) <= MOST_INPUT, "choice.input_shape: it is no shape")
        asked = tree.get("asked")
        expect(asked is None or _is_name(asked), "choice.asked: it names no backend")
        cells = tuple(_cell(cell) for cell in tree["cells"])
        place, tuned = _place(tree.get("place")), _tuned(tree.get("tuned", {}))
        return cls(cells, tree["device"], tuple(shape), asked, place, tuned)


def _place(tree: Any) -> Place:
    if tree is None:
        return CPU
    expect(
        isinstance(tree, dict) and tree.keys() == {"device", "precision"},
        "choice.place: its keys are not device and precision",
    )
    device, precision = tree["device"], tree["precision"]
    known = device in ("cpu", "cuda") and isinstance(precision, str) and precision in PRECISIONS
    expect(known, f"choice.place: {quoted(tree)} is no place")
    return Place(device, precision)


def _tuned(tree: Any) -> dict[str, dict[str, int]]:
    expect(isinstance(tree, dict), "choice.tuned: it is no object")
    for config in tree.values():
        expect(isinstance(config, dict), "choice.tuned: one is no object")
        expect(all(type(n) is int for n in config.values()), "choice.tuned: one is no number")
    return cast(dict[str, dict[str, int]], tree)


def _cell(tree: Any) -> Cell:
    expect(isinstance(tree, dict), "choice.cells: one is no object")
    keys = {"threads", "batch", "backend"}
    expect(tree.keys() - {"layers"} == keys, f"choice.cells: {quoted(list(tree))} are not its keys")
    for key in ("threads", "batch"):
        value = tree[key]
        fits = type(value) is int and 0 < value <= MOST
        expect(fits, f"choice.cells: {key} is no number from 1 to {MOST}")
    layers = tree.get("layers", {})
    expect(isinstance(layers, dict), "choice.cells: layers is no object")
    for name in (tree["backend"], *layers.values()):
        expect(_is_name(name), f"choice.cells: {quoted(name)} names no backend")
    return Cell(tree["threads"], tree["batch"], tree["backend"], layers)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST
