"""Where the results of a fused network lie: float32, in one arena for each sample.

Maps that a convolution pads have their border with them, zeros that the step which makes the map
writes as well. Steps that do not wait for each other form a phase.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import cast

import torch

from pruneflow.deploy.graphs.graph import INPUT
from pruneflow.deploy.graphs.memory import Tenant, place
from pruneflow.deploy.graphs.ops import Shape
from pruneflow.deploy.kernels.fused.steps import Step, Steps

UNIT = 32
"""Results begin at multiples of so many floats: a line of the caches."""

OUTSIDE = -1
"""In place of a place: the network's input or output."""

NOTHING = (-2, 1, 1, 1, 1)
"""In place of an operand."""

Operand = tuple[int, int, int, int, int]
"""The place of the first number, numbers of a map, of a line, from map to map, line to line."""


@dataclass(frozen=True)
class Map:
    """A result of a step.

    Attributes:
        start: Where it begins, border included; ``OUTSIDE``: it is the network's input or output.
        sides: Channels, height and width.
        border: Lines above and below, columns on both sides.
    """

    start: int
    sides: Shape
    border: tuple[int, int] = (0, 0)

    @property
    def pitch(self) -> int:
        """From line to line."""
        return self.sides[2] + 2 * self.border[1]

    @property
    def plane(self) -> int:
        """From map to map."""
        return (self.sides[1] + 2 * self.border[0]) * self.pitch

    @property
    def size(self) -> int:
        """All of it."""
        return self.sides[0] * self.plane

    def operand(self, padding: tuple[int, int] = (0, 0)) -> Operand:
        """As pieces see it who begin so far outside."""
        before = (self.border[0] - padding[0]) * self.pitch + self.border[1] - padding[1]
        return self.start + before, prod(self.sides[1:]), self.sides[2], self.plane, self.pitch

    def places(self) -> torch.Tensor:
        """Where its numbers lie, in their order, from the first one on."""
        channels, height, width = (torch.arange(side) for side in self.sides)
        lines = channels[:, None] * self.plane + height * self.pitch
        return (lines[..., None] + width).flatten()


class Places:
    """The phases of a network's steps and the places of its results.

    Args:
        steps: The steps.

    Attributes:
        steps: With a step in front that takes the input over, where a convolution pads it.
        phases: The phase of every step.
        maps: Every result, by name.
        arena: Floats of each sample.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = list(steps.steps)
        borders = {name: self._border(name) for name in steps.sides}
        if any(borders[INPUT]):
            self.steps.insert(0, Step(INPUT, INPUT, steps.sides[INPUT]))
        self.phases: list[int] = []
        made: dict[str, int] = {INPUT: -1}
        for i, step in enumerate(self.steps):
            before = max(made[name] for name in step.inputs)
            self.phases.append(max(before + 1, self.phases[-1] if i else 0))
            made[step.output] = self.phases[-1]
        output = self.steps[-1].output
        self.maps = {INPUT: Map(OUTSIDE, steps.sides[INPUT])}
        tenants = {}
        for step in self.steps:
            self.maps[step.output] = Map(OUTSIDE, step.sides, borders[step.output])
            if step.output != output:
                last = self._last_read(step.output)
                size = self.maps[step.output].size
                tenants[step.output] = Tenant(size, made[step.output], last)
        starts, self.arena = place(tenants, UNIT)
        for name, start in starts.items():
            self.maps[name] = replace(self.maps[name], start=start)

    def _border(self, name: str) -> tuple[int, int]:
        """The most that a convolution pads a result with."""
        paddings = [
            cast(list[int], step.node.options["padding"])
            for step in self.steps
            if step.source == name and step.node is not None and step.node.op == "conv2d"
        ]
        high, wide = (max((pad[i] for pad in paddings), default=0) for i in (0, 1))
        return high, wide

    def _last_read(self, name: str) -> int:
        return max(
            phase
            for phase, step in zip(self.phases, self.steps, strict=True)
            if name in step.inputs
        )
