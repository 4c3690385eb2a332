"""A layer's arrays hold its weights, all of them, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from pruneflow.deploy.bundles.packing import pack, unpack
from pruneflow.deploy.c99.choosing import unit_of
from pruneflow.deploy.c99.weights import LAYOUTS, Array, Coded, Stored, coded, refuses, stored
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.graphs.graph import Graph, Node
from pruneflow.deploy.network import of_graph
from pruneflow.deploy.settings import C99_VALUES
from pruneflow.errors import DeployError
from tests.deploy.c99.code import Case, Library, require_right
from tests.deploy.networks import Network

TYPES = {"fp32": np.float32, "fp16": np.uint16, "int8": np.int8}


@st.composite
def codes(draw: st.DrawFn) -> Coded:
    """Sparse tables with wide gaps, empty rows, or nothing at all."""
    rows, columns = draw(st.integers(1, 8)), draw(st.sampled_from([1, 2, 255, 256, 257, 1500]))
    values = draw(st.sampled_from(C99_VALUES))
    table = np.zeros((rows, columns), TYPES[values])
    place = st.tuples(st.integers(0, rows - 1), st.integers(0, columns - 1))
    for row, column in draw(st.lists(place, max_size=12)):
        table[row, column] = draw(st.integers(1, 127))
    if draw(st.booleans()):
        table[draw(st.integers(0, rows - 1))] = 5
    scales = np.ones(rows, np.float32) if values == "int8" else None
    return Coded(table, scales, values)


def spread(*columns: int, width: int = 2000) -> Coded:
    """Two rows, the second empty, with ones at these columns."""
    table = np.zeros((2, width), np.int8)
    table[0, list(columns)] = 1
    return Coded(table, np.ones(2, np.float32), "int8")


def entries(weight: Stored, places: np.ndarray[Any, Any]) -> Iterator[tuple[int, int, int]]:
    """Row, column and position of every entry, read one after the other as the C code does."""
    rows, columns = weight.coded.codes.shape
    column_at = {int(place): column for column, place in enumerate(places)}
    counts: Array = np.full(rows, columns) if weight.counts is None else weight.counts
    position = 0
    for row in range(rows):
        column = -1
        for _ in range(int(counts[row])):
            if weight.layout == "dense":
                column += 1
            elif weight.layout == "csr16":
                assert weight.index is not None
                column = column_at[int(weight.index[position])]
            else:
                assert weight.index is not None
                column += int(weight.index[position]) + 1
            yield row, column, position
            position += 1
    assert position == weight.entries.size
    assert weight.index is None or weight.index.size == position


@pytest.mark.parametrize("layout", LAYOUTS)
@given(codes(), st.integers(1, 43))
@example(spread(), 1)
@example(spread(0, 255, 256), 1)
@example(spread(255), 1)
@example(spread(256), 1)
@example(spread(257, 768, 1999), 1)
@example(spread(511, 512), 1)
@example(spread(767), 1)
def test_reading_the_arrays_gives_the_weight(layout: str, weight: Coded, step: int) -> None:
    places = np.arange(weight.codes.shape[1]) * step
    made = stored(weight, layout, places)
    read = np.zeros_like(weight.codes)
    for row, column, position in entries(made, places):
        assert read[row, column] == 0
        read[row, column] = made.entries[position]
    assert np.array_equal(read, weight.codes)
    assert made.entries.dtype == weight.codes.dtype
    kept = np.count_nonzero(weight.codes)
    if layout == "csr16":
        assert made.entries.size == kept
        assert made.index is not None
        assert made.index.dtype == np.uint16
    elif layout == "gaps8":
        assert made.entries.size == kept + fewest_fillers(weight.codes)
        assert made.index is not None
        assert made.index.dtype == np.uint8


def fewest_fillers(table: Array) -> int:
    """How often 8 bits cannot say how many columns are skipped: once for each 256 of them."""
    found = 0
    for row in table:
        last = -1
        for column in np.flatnonzero(row):
            found += int(column - last - 1) // 256
            last = int(column)
    return found


@pytest.mark.parametrize(
    ("columns", "kind"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16),
                          (65_536, np.uint32)]
)  # fmt: skip
def test_counts_are_as_narrow_as_the_fullest_row(columns: int, kind: type) -> None:
    weight = Coded(np.ones((1, columns), np.int8), np.ones(1, np.float32), "int8")
    made = stored(weight, "gaps8", np.arange(columns))
    assert made.counts is not None
    assert made.counts.dtype == kind
    assert made.counts.tolist() == [columns]


def test_sixteen_bits_reach_65535_places() -> None:
    assert not refuses("csr16", np.array([0, 65_535]))
    assert refuses("csr16", np.array([0, 65_536]))
    assert not any(refuses(layout, np.array([65_536])) for layout in ("dense", "gaps8"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_row_wider_than_sixteen_bits_is_still_right(layout: str) -> None:
    """csr16 is asked for, and another layout taken."""
    weight = torch.zeros(3, 70_000)
    weight[0, [0, 69_999]], weight[2, 65_536] = torch.tensor([1.5, -2.0]), 3.0
    graph = Graph((70_000,), (Node("l", "linear", ("input",), "w"),), "l")
    case = Case(Network(graph, {"w": weight}), layout)
    unit = case.unit()
    assert unit.weights["l"].layout == (layout if layout != "csr16" else "gaps8")
    inputs = case.network.inputs(1)
    require_right(case, inputs, Library([unit]).run("net", inputs))


@pytest.mark.parametrize("values", C99_VALUES)
@pytest.mark.parametrize("shape", [(6, 9), (1, 7), (4, 3, 3, 5), (2, 1, 1, 1)])
@pytest.mark.parametrize("sparsity", [0.0, 0.7, 1.0])
def test_a_bundles_weight_is_read_in_the_order_of_c(
    shape: tuple[int, ...], values: str, sparsity: float
) -> None:
    """Whatever the bundle's own layout: rows of outputs, of places of the kernel, of channels."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator)
    weight[torch.rand(shape, generator=generator) < sparsity] = 0.0
    for form in FORMATS:
        try:
            packed = pack("w", weight, None, form, values)
        except DeployError:  # it is for other weights
            continue
        found = coded(packed)
        numbers = found.codes.view(np.float16) if values == "fp16" else found.codes
        table = torch.from_numpy(numbers.astype(np.float32))
        if found.scales is not None:
            table = table * torch.from_numpy(found.scales)[:, None]
        if len(shape) == 4:
            out, channels, *kernel = shape
            table = table.reshape(out, *kernel, channels).permute(0, 3, 1, 2)
        assert torch.equal(table.reshape(shape), unpack(packed))


@given(st.integers(0, 10**6))
def test_size_takes_the_fewest_bytes_and_latency_the_fewest_instructions(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    density = float(torch.rand((), generator=generator))
    weight = torch.randn(20, 60, generator=generator)
    weight[torch.rand(weight.shape, generator=generator) > density] = 0.0
    graph = Graph((60,), (Node("l", "linear", ("input",), "w"),), "l")
    network = of_graph(graph, {"w": weight})
    packed = {"w": pack("w", weight, None, "dense", "int8")}
    alone = {kind: unit_of("n", network, packed, "size", kind).bytes for kind in LAYOUTS}
    sums = {kind: sum(parts.values()) for kind, parts in alone.items()}
    smallest = unit_of("n", network, packed, "size").weights["l"].layout
    assert sums[smallest] == min(sums.values())
    quickest = unit_of("n", network, packed, "latency").weights["l"].layout
    assert quickest == ("dense" if density > 0.9 else quickest)
    assert quickest == ("csr16" if density < 0.6 else quickest)
