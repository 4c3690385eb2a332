"""The file of results: machines, each with its cells; written whole after every cell."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from math import nan
from pathlib import Path
from typing import Any

WHAT = (
    "times in microseconds; eager and graph: cold caches, device's clock; warm: a graph repeated; "
    "_wall: until the result is there, computer's clock; limits: no kernel is faster"
)

SAME_MACHINE = ("device", "driver", "python", "torch", "triton", "cuda")


class Results:
    """A file of results.

    Args:
        path: The file, which need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree: dict[str, Any] = {"what": WHAT, "machines": []}
        if path.is_file():
            self.tree = json.loads(path.read_text(encoding="utf-8"))

    @property
    def latest(self) -> dict[str, Any] | None:
        """What the machine that measured last has found."""
        machines: list[dict[str, Any]] = self.tree["machines"]
        return machines[-1] if machines else None

    def of(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        """The results of a machine with these versions; it becomes the latest."""
        machines: list[dict[str, Any]] = self.tree["machines"]
        same = [m for m in machines if _key(m["machine"]) == _key(machine)]
        found = same[0] if same else {"machine": dict(machine), "cells": {}, "broken": {}}
        self.tree["machines"] = [m for m in machines if m is not found] + [found]
        return found

    def write(self) -> None:
        """Replace the file; whoever reads it finds all of the old one or all of the new."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f".{self.path.name}.part")
        part.write_text(json.dumps(self.tree, indent=1) + "\n", encoding="utf-8")
        os.replace(part, self.path)


def _key(machine: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(machine.get(key) for key in SAME_MACHINE)


# -- reading a cell ------------------------------------------------------------------------


def figure_mode(modes: Collection[str]) -> str:
    """The mode whose median stands for an engine: a graph where it has one, as users wait."""
    return next(mode for mode in ("graph_wall", "eager_wall", "graph", "eager") if mode in modes)


def figure(row: Mapping[str, Any]) -> float | None:
    """The median that stands for an engine; None where it failed."""
    if "failed" in row:
        return None
    return float(row[figure_mode(row)]["p50"])


def fastest(cell: Mapping[str, Any], *kinds: str) -> tuple[str, float] | None:
    """The fastest engine of some kinds and its figure; None where none of them ran."""
    found = [
        (took, name)
        for name, row in cell.get("rows", {}).items()
        if row["kind"] in kinds and (took := figure(row)) is not None
    ]
    return (min(found)[1], min(found)[0]) if found else None


def speedup(cell: Mapping[str, Any], *kinds: str, to: str | None = None) -> float | None:
    """How many times as fast as another the fastest engine of some kinds is.

    None where the other did not run, NaN where none of the kinds did.

    Args:
        cell: Of the results.
        kinds: Of the engines.
        to: An engine to compare with; else the fastest dense one.
    """
    own = fastest(cell, *kinds)
    if to is None:
        dense = fastest(cell, "dense")
        other = dense[1] if dense else None
    else:
        row = cell.get("rows", {}).get(to)
        other = figure(row) if row else None
    if other is None:
        return None
    return other / own[1] if own else nan
