"""Shapes over a span: how far along a value is when a share ``p`` of the span has passed."""

from __future__ import annotations

import math
from collections.abc import Callable

from pruneflow.registry import Registry

Shape = Callable[[float, float, float, float], float]

SHAPES: Registry[Shape] = Registry("schedule")


def interpolate(shape: str, start: float, final: float, p: float, power: float = 3.0) -> float:
    """The value at share ``p`` of a span that leads from ``start`` to ``final``.

    The value at ``p >= 1`` is ``final`` itself, free of rounding.
    """
    if p >= 1:
        return final
    return SHAPES[shape](start, final, max(p, 0.0), power)


@SHAPES.register("constant")
def constant(start: float, final: float, p: float, power: float) -> float:
    """The final value throughout."""
    return final


@SHAPES.register("linear")
def linear(start: float, final: float, p: float, power: float) -> float:
    """Equal increments."""
    return start + (final - start) * p


@SHAPES.register("polynomial")
def polynomial(start: float, final: float, p: float, power: float) -> float:
    """``final + (start - final)(1 - p)^power``: fast first (Zhu & Gupta 2017, eq. 1)."""
    return final + (start - final) * math.pow(1 - p, power)


@SHAPES.register("cubic")
def cubic(start: float, final: float, p: float, power: float) -> float:
    """``polynomial`` with power 3, the ramp of gradual pruning (Zhu & Gupta 2017)."""
    return polynomial(start, final, p, 3.0)


@SHAPES.register("cosine")
def cosine(start: float, final: float, p: float, power: float) -> float:
    """Half a cosine: slow at both ends (Loshchilov & Hutter 2017, eq. 5)."""
    return final + (start - final) * (1 + math.cos(math.pi * p)) / 2


@SHAPES.register("exponential")
def exponential(start: float, final: float, p: float, power: float) -> float:
    """Equal factors: ``start^(1-p) final^p``; nothing but 0 where an end is 0."""
    if start <= 0 or final <= 0:
        return 0.0
    return math.exp((1 - p) * math.log(start) + p * math.log(final))
