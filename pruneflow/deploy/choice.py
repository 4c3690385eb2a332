"""Which backend runs a bundle, for each number of threads and each size of batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, prod
from typing import Any

from pruneflow.deploy.bundles.damage import expect, quoted
from pruneflow.deploy.graphs.ops import Shape

DEFAULT = "torch"
COMPILED = ("torch_compile", "torch_compile_frozen")
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
        device: The processor it was measured on.
        input_shape: Of one sample, where the bundle holds no graph that says it.
        asked: The backend that a person asked for, whatever was measured.
    """

    cells: tuple[Cell, ...] = ()
    device: str = ""
    input_shape: Shape = ()
    asked: str | None = None

    def best(self, threads: int, batch: int) -> Cell:
        """The winner at the measured place that is nearest, first by threads, then by batch.

        Compiled torch wins where it was measured only; elsewhere dense torch takes its place.
        """

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
        return tree | ({} if self.asked is None else {"asked": self.asked})

    @classmethod
    def from_json(cls, tree: Any) -> Choice:
        """What ``to_json`` wrote, or an empty object.

        Raises:
            Damage: It is anything else.
        """
        expect(isinstance(tree, dict), "choice: it is no object")
        if not tree:
            return cls()
        keys = tree.keys() - {"input_shape", "asked"}
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
        return cls(cells, tree["device"], tuple(shape), asked)


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
