"""Where results lie: in the caller's input and output, or in one piece of memory.

A result takes the place of one that it is made from, where that one is not read later and every
number is read for the last time right before it is overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from pruneflow.deploy.c99.program import Pass, Program
from pruneflow.deploy.graphs.graph import INPUT
from pruneflow.deploy.graphs.memory import Tenant, place
from pruneflow.deploy.graphs.ops import ACTIVATIONS

Kind = Literal["input", "output", "workspace"]


@dataclass(frozen=True)
class Buffer:
    """A place, and while it is in use.

    Attributes:
        kind: The caller's input or output, or the workspace.
        offset: In it, in numbers.
        size: In numbers.
        first: The pass that writes it; -1: the caller.
        last: The last pass that reads it.
    """

    kind: Kind
    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Memory:
    """Every result's place.

    Attributes:
        results: By name.
        planes: Where a pass adds up one output plane, by the name of its output.
        size: Of the workspace, in numbers.
    """

    results: Mapping[str, Buffer]
    planes: Mapping[str, Buffer]
    size: int


def memory_of(program: Program) -> Memory:
    """Places for all results of a program."""
    lives = _lives(program)
    shared = _shared(program, lives)
    homes: dict[str, list[str]] = {}
    for name, home in shared.items():
        homes.setdefault(home, []).append(name)
    tenants: dict[str, Tenant] = {}
    for home, names in homes.items():
        if INPUT not in names and program.output not in names:
            parts = [lives[name] for name in names]
            size = max(part.size for part in parts)
            first, last = min(part.first for part in parts), max(part.last for part in parts)
            tenants[home] = Tenant(size, first, last)
    planes = {
        one.output: Tenant(plane_size(program, one), i, i)
        for i, one in enumerate(program.passes)
        if needs_plane(one)
    }
    offsets, size = place({**tenants, **{_plane(name): life for name, life in planes.items()}})

    def buffer(name: str) -> Buffer:
        life, mates = lives[name], homes[shared[name]]
        kind: Kind = "workspace"
        if INPUT in mates:
            kind = "input"
        elif program.output in mates:
            kind = "output"
        offset = offsets.get(shared[name], 0)
        return Buffer(kind, offset, life.size, life.first, life.last)

    sums = {
        name: Buffer("workspace", offsets[_plane(name)], life.size, life.first, life.last)
        for name, life in planes.items()
    }
    return Memory({name: buffer(name) for name in lives}, sums, size)


def needs_plane(one: Pass) -> bool:
    """Whether a pass adds up its output planes elsewhere than where they go."""
    return one.pool is not None


def plane_size(program: Program, one: Pass) -> int:
    """Numbers of one plane of a convolution's own result."""
    return prod(program.layouts[one.node.name].shape[1:])


def _plane(name: str) -> str:
    return f"a plane of {name}"


def _lives(program: Program) -> dict[str, Tenant]:
    """Every result's size, and from which pass to which it is needed."""
    writes = {one.output: i for i, one in enumerate(program.passes)}
    reads = {name: i for i, one in enumerate(program.passes) for name in one.reads}
    names = (INPUT, *writes)
    end = len(program.passes)
    return {
        name: Tenant(
            program.layouts[name].size,
            writes.get(name, -1),
            end if name == program.output else reads.get(name, -1),
        )
        for name in names
    }


def _shared(program: Program, lives: Mapping[str, Tenant]) -> dict[str, str]:
    """For each result the first one that had its place."""
    layouts = program.layouts
    homes = {INPUT: INPUT}
    for i, one in enumerate(program.passes):
        homes[one.output] = one.output
        for name in _may_overwrite(one):
            size, frame = layouts[name].size, layouts[name].frame
            fits = (size, frame) == (layouts[one.output].size, layouts[one.output].frame)
            if name not in program.fixed and lives[name].last == i and fits:
                homes[one.output] = homes[name]
    return homes


def _may_overwrite(one: Pass) -> tuple[str, ...]:
    """Results that a pass reads for the last time where it puts a number of its own."""
    if one.node.op in (*ACTIVATIONS, "add", "softmax"):
        return one.reads
    if one.node.op == "conv2d" and one.pool is None and one.other != one.input:
        return () if one.other is None else (one.other,)
    return ()
