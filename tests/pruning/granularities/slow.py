"""Granularities written out in loops, for tests to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from hypothesis import strategies as st

from pruneflow.pruning.granularities import GRANULARITIES, Granularity
from tests.strategies import DTYPES

Index = tuple[int, ...]
Shape = tuple[int, ...]


def read(value: object) -> Granularity:
    """The granularity that a recipe's value means."""
    found = [entry for name in GRANULARITIES if (entry := GRANULARITIES[name].read(value))]
    (only,) = found
    return only


def units(shape: Shape, tall: int, wide: int) -> Iterator[list[Index]]:
    """Indices of the weights in every block of outputs and input channels, block by block.

    A weight (out, in, ...) has a block for each place of its window; the places of a row of
    blocks follow one another, each with all of its channels.
    """
    for top in range(0, shape[0], tall):
        for place in product(*map(range, shape[2:])):
            for left in range(0, shape[1], wide):
                rows, columns = range(top, top + tall), range(left, left + wide)
                yield [(row, column, *place) for row, column in product(rows, columns)]


def number(shape: Shape, index: Index) -> int:
    """The place of an index when weights are counted row by row."""
    place = 0
    for side, part in zip(shape, index, strict=True):
        place = place * side + part
    return place


def shapes(tall: int = 1, wide: int = 1) -> st.SearchStrategy[Shape]:
    """Of linear layers and of convolutions with a window of one or two dimensions."""
    outs = st.integers(1, 3).map(lambda times: times * tall)
    ins = st.integers(1, 3).map(lambda times: times * wide)
    windows = st.sampled_from([(), (), (1, 1), (2,), (2, 3)])
    return st.builds(lambda out, channels, window: (out, channels, *window), outs, ins, windows)


@st.composite
def scored(draw: st.DrawFn, some: Sequence[Shape]) -> list[torch.Tensor]:
    """Scores of layers of one dtype, with many ties and both zeros."""
    dtype = draw(st.sampled_from(DTYPES))
    number = st.sampled_from([0.0, -0.0, 0.5, 1.0, 3.0]) | st.floats(0, 100, width=16)
    return [
        torch.tensor(draw(st.lists(number, min_size=size, max_size=size)), dtype=dtype).view(shape)
        for shape in some
        for size in [torch.Size(shape).numel()]
    ]
