"""What a shape in a stranger's file may be."""

from __future__ import annotations

from math import prod

from pruneflow.deploy.bundles.damage import Damage, expect
from pruneflow.deploy.bundles.strict_json import Json
from pruneflow.deploy.formats.base import Shape

MOST_WEIGHTS = 2**31 - 1
"""Of one tensor, a dimension of 0 counted as 1: positions fit into 32 bits everywhere."""

_MOST_DIMENSIONS = 16


def volume(shape: Shape) -> int:
    """The number of weights, a dimension of 0 counted as 1."""
    return prod(max(side, 1) for side in shape)


def is_sane(shape: Shape) -> bool:
    """Whether a bundle holds tensors of this shape."""
    return len(shape) <= _MOST_DIMENSIONS and volume(shape) <= MOST_WEIGHTS


def parse_shape(value: Json) -> Shape:
    """A shape from JSON.

    Raises:
        Damage: It is no list of whole numbers, or a tensor that large is never read.
    """
    if not isinstance(value, list):
        raise Damage("the shape is no list")
    sides = []
    for side in value:
        if type(side) is not int or not 0 <= side <= MOST_WEIGHTS:
            raise Damage(f"the shape has a side that is no number from 0 to {MOST_WEIGHTS}")
        sides.append(side)
    shape = tuple(sides)
    expect(is_sane(shape), f"the shape {list(shape[:_MOST_DIMENSIONS])} is too large")
    return shape
