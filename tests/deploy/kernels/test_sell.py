"""``sell``: how it lies in memory, and rows that its tiles do not fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.deploy.kernels import KERNELS
from pruneflow.deploy.kernels.sell import ALIGN
from tests.deploy.kernels.exact import run

pytest.importorskip("triton")


@st.composite
def weights(draw: st.DrawFn) -> torch.Tensor:
    """Rows of any lengths, integers from 1 on."""
    lengths = draw(st.lists(st.integers(0, 200), min_size=1, max_size=12))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    weight = torch.zeros(len(lengths), 200)
    for row, length in zip(weight, lengths, strict=True):
        places = torch.randperm(200, generator=generator)[:length]
        row[places] = torch.arange(1.0, length + 1)
    return weight


def outputs(x: torch.Tensor, weight: torch.Tensor, step: int = 1) -> list[torch.Tensor]:
    """Of the configurations, or of the first, and each that comes so many later."""
    packed = KERNELS["sell"].pack(weight)
    configs = KERNELS["sell"].configs(packed, len(x))[::step]
    return [run(packed, x, None, config) for config in configs]


@given(weight=weights(), dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_it_takes_the_bytes_of_what_is_left(weight: torch.Tensor, dtype: torch.dtype) -> None:
    packed = KERNELS["sell"].pack(weight.to(dtype))
    kept = int((weight != 0).sum())
    each, rows = 2 + dtype.itemsize, len(weight)
    assert each * kept + 8 * rows <= packed.bytes
    assert packed.bytes <= each * (kept + (ALIGN - 1) * rows) + 8 * rows + 4


@given(weight=weights())
def test_rows_lie_by_length_the_longest_first(weight: torch.Tensor) -> None:
    *_, starts, order = KERNELS["sell"].pack(weight).parts
    lengths = (weight != 0).sum(1)
    assert sorted(order.tolist()) == list(range(len(weight)))
    assert (lengths[order.long()].diff() <= 0).all()
    assert torch.equal(starts.diff(), ((lengths[order.long()] + ALIGN - 1) // ALIGN).int())


@given(weight=weights())
def test_lanes_side_by_side_work_on_columns_side_by_side(weight: torch.Tensor) -> None:
    columns, values, starts, order = KERNELS["sell"].pack(weight).parts
    for slot, row in enumerate(order.tolist()):
        expected = weight[row].nonzero()[:, 0].tolist()
        found = []
        for block in range(int(starts[slot]) * ALIGN, int(starts[slot + 1]) * ALIGN, 64):
            end = min(block + 64, int(starts[slot + 1]) * ALIGN)
            lanes = columns[block:end].view(-1, ALIGN)
            is_weight = values[block:end].view(-1, ALIGN) != 0
            found += [
                lanes[i, j] for j in range(ALIGN) for i in range(len(lanes)) if is_weight[i, j]
            ]
        assert [int(column) for column in found] == expected


@pytest.mark.parametrize("batch", [1, 3, 9])
def test_one_full_row_among_empty_ones(batch: int) -> None:
    weight = torch.zeros(19, 1500)
    weight[7] = torch.arange(1500) % 5 - 2.0
    x = torch.arange(batch * 1500.0).view(batch, 1500) % 7
    for y in outputs(x, weight):
        assert torch.equal(y, x @ weight.T)


@pytest.mark.parametrize("batch", [1, 2])
def test_columns_past_sixteen_bits(batch: int) -> None:
    weight = torch.zeros(3, (1 << 16) + 9)
    weight[0, -1] = weight[1, 1 << 15] = weight[2, 1 << 16] = weight[2, 0] = 2.0
    x = torch.arange(batch * weight.shape[1]).view(batch, -1).remainder(11).float()
    packed = KERNELS["sell"].pack(weight)
    assert packed.parts[0].dtype is torch.int32
    assert torch.equal(KERNELS["sell"].unpack(packed), weight)
    for y in outputs(x, weight, step=8):
        assert torch.equal(y, x @ weight.T)


def test_the_last_column_that_sixteen_bits_hold() -> None:
    weight = torch.zeros(2, 1 << 16)
    weight[0, -1] = weight[1, 1 << 15] = 3.0
    x = torch.arange(1 << 16).remainder(13).float()[None]
    assert KERNELS["sell"].pack(weight).parts[0].dtype is torch.int16
    for y in outputs(x, weight):
        assert torch.equal(y, x @ weight.T)
