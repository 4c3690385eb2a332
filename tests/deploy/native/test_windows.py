"""Window packing: every weight is stored once, where the kernel looks for it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pruneflow.deploy.native import layers
from pruneflow.deploy.native.library import library
from tests.deploy.native.kernels import linear, needs_compiler, sparse_matrix

pytestmark = needs_compiler
PANEL, WINDOW, ALIGN = 16, 32, 8
UNTOUCHED = 77


@dataclass(frozen=True)
class Packed:
    """What ``pf_pack_windows`` wrote, one row a step."""

    order: np.ndarray
    starts: np.ndarray
    bases: np.ndarray
    picks: np.ndarray
    values: np.ndarray

    @property
    def panel_of(self) -> np.ndarray:
        """The panel of each step."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts.astype(int)))

    def stored(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values of what is not idle."""
        steps, lanes = np.nonzero(self.values)
        rows = self.order[self.panel_of[steps] * PANEL + lanes]
        columns = self.bases[steps].astype(int) * ALIGN + self.picks[steps, lanes]
        return rows, columns, self.values[steps, lanes]


def packed(weight: torch.Tensor, order: np.ndarray | None = None) -> Packed:
    """A matrix in windows, written exactly where there is room for it."""
    rows = len(weight)
    panels = -(-rows // PANEL)
    starts, columns, values = layers.sparse_rows(weight)
    if order is None:
        order = np.full(panels * PANEL, rows, np.uint32)
        order[:rows] = np.argsort(np.diff(starts), kind="stable")
    given = [array.ctypes.data for array in (starts, columns, values, order)]
    pack = library().handle.pf_pack_windows
    steps = pack(rows, *given, None, None, None, None)
    out = [
        np.full(panels + 2, UNTOUCHED, np.uint32),
        np.full(steps + 1, UNTOUCHED, np.uint16),
        np.full((steps + 1, PANEL), UNTOUCHED, np.uint8),
        np.full((steps + 1, PANEL), UNTOUCHED, np.float32),
    ]
    assert pack(rows, *given, *(array.ctypes.data for array in out)) == steps
    assert all((array[-1] == UNTOUCHED).all() for array in out)
    return Packed(order, *(array[:-1] for array in out))


@st.composite
def matrices(draw: st.DrawFn) -> torch.Tensor:
    rows, columns = draw(st.integers(1, 50)), draw(st.integers(1, 200))
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]))
    return sparse_matrix(rows, columns, density, draw(st.integers(0, 2**31)))


@given(matrices(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_every_weight_is_stored_once_in_any_order_of_rows(weight, random) -> None:
    order = list(range(-(-len(weight) // PANEL) * PANEL))
    random.shuffle(order)
    rows, columns, values = packed(weight, np.array(order, np.uint32)).stored()
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == len(rows)
    found = np.zeros(weight.shape, np.float32)
    found[rows, columns] = values
    assert np.array_equal(found, weight.numpy())


@given(matrices())
@settings(max_examples=150)
def test_windows_stay_near_the_input(weight: torch.Tensor) -> None:
    windows, inputs = packed(weight), weight.shape[1]
    first = windows.bases.astype(int) * ALIGN
    assert (first < inputs).all()  # and so at most a window less one is read past the end
    assert (windows.picks < WINDOW).all()
    assert ((first[:, None] + windows.picks) < inputs).all()  # idle lanes read an input as well
    assert (windows.picks[windows.values == 0] == 0).all()


@given(matrices())
@settings(max_examples=150)
def test_no_step_is_idle_and_windows_only_move_on(weight: torch.Tensor) -> None:
    windows = packed(weight)
    assert (windows.values != 0).any(1).all()
    counts = np.append(np.count_nonzero(weight.numpy(), axis=1), 0)
    for panel in range(len(windows.starts) - 1):
        bases = windows.bases[windows.starts[panel] : windows.starts[panel + 1]].astype(int)
        assert (np.diff(bases) >= 0).all()
        rows = np.minimum(windows.order[panel * PANEL : (panel + 1) * PANEL], len(weight))
        assert counts[rows].max() <= len(bases) <= counts[rows].sum()


@pytest.mark.parametrize(("density", "least"), [(0.02, 0.3), (0.05, 0.5), (0.2, 0.75)])
def test_lanes_are_busy(density: float, least: float) -> None:
    weight = torch.randn(300, 784) * (torch.rand(300, 784) < density)
    assert int(weight.count_nonzero()) / packed(weight).values.size > least


def test_full_windows_are_never_idle() -> None:
    assert (packed(torch.ones(32, 64)).values != 0).all()


@given(st.integers(1, 40), st.integers(1, 50))
def test_panels_hold_rows_side_by_side(rows: int, columns: int) -> None:
    weight, arena = sparse_matrix(rows, columns, 1.0, seed=rows), layers.Arena()
    panels = -(-rows // PANEL)
    address = layers._panels(arena, weight)
    flat = np.ctypeslib.as_array(
        (ctypes.c_float * (panels * PANEL * columns)).from_address(address)
    )
    matrix = flat.reshape(panels, columns, PANEL).transpose(0, 2, 1).reshape(-1, columns)
    assert np.array_equal(matrix[:rows], weight.numpy())
    assert not matrix[rows:].any()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20))
def test_memory_for_c_begins_at_whole_cache_lines(counts: list[int]) -> None:
    arena = layers.Arena()
    kept = {arena.keep(np.full(count, i, np.uint16)): i for i, count in enumerate(counts)}
    for (address, value), count in zip(kept.items(), counts, strict=True):
        assert address % 64 == 0
        assert list((ctypes.c_uint16 * count).from_address(address)) == [value] * count


def test_a_layer_of_zeros_has_no_steps() -> None:
    network = linear(torch.zeros(5, 9))
    assert packed(network.tensors["fc.weight"]).values.size == 0
