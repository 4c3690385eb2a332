"""Laws of matrices: rows times the transposed matrix are what torch's own layer gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from pruneflow.pruning.granularities.base import gathered
from pruneflow.pruning.masks import chunks
from pruneflow.pruning.oneshot import matrices
from pruneflow.pruning.oneshot.matrices import (
    Product,
    as_matrices,
    as_weight,
    groups_of,
    input_rows,
)

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
MODES = ("zeros", "reflect", "replicate", "circular")


def whole(minimum: int, maximum: int) -> Any:
    return st.integers(minimum, maximum)


@st.composite
def products(draw: st.DrawFn) -> tuple[Product, torch.Tensor]:
    """A layer without bias and inputs that it takes; whole numbers, so that sums are exact."""
    dimensions = draw(whole(0, 3))
    if dimensions == 0:
        layer: Product = nn.Linear(draw(whole(1, 5)), draw(whole(1, 4)), bias=False)
        lead = draw(st.lists(whole(1, 3), max_size=2))
        inputs = torch.randint(-4, 5, (*lead, layer.in_features))
    else:

        def each(low: int, high: int) -> tuple[int, ...]:
            return tuple(draw(whole(low, high)) for _ in range(dimensions))

        groups = draw(whole(1, 3))
        stride, dilation = each(1, 2), each(1, 2)
        same = draw(st.booleans())
        layer = CONVOLUTIONS[dimensions](
            groups * draw(whole(1, 2)),
            groups * draw(whole(1, 2)),
            each(1, 3),
            stride=1 if same else stride,
            padding="same" if same else each(0, 1),
            dilation=dilation,
            groups=groups,
            bias=False,
            padding_mode=draw(st.sampled_from(MODES)),
        )
        samples = draw(st.lists(whole(1, 3), max_size=1))
        inputs = torch.randint(-4, 5, (*samples, layer.in_channels, *each(5, 7)))
    with torch.no_grad():
        layer.weight.copy_(torch.randint(-4, 5, layer.weight.shape))
    return layer.double(), inputs.double()


@given(products(), st.sampled_from([1, 200, 1 << 22]))
def test_rows_times_matrices_are_the_layers_outputs(
    case: tuple[Product, torch.Tensor], piece: int
) -> None:
    layer, inputs = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "PIECE", piece)
        rows = torch.cat(list(input_rows(layer, inputs)), dim=1)
    by_matrix = rows @ as_matrices(layer.weight.detach(), groups_of(layer)).mT
    outputs = layer(inputs).detach()
    if not isinstance(layer, nn.Linear):
        spatial = len(layer.kernel_size)
        batched = outputs if inputs.ndim == spatial + 2 else outputs[None]
        outputs = batched.movedim(1, -1)  # (samples, *places, out)
    flat = outputs.reshape(-1, layer.weight.shape[0])
    assert torch.equal(by_matrix.movedim(0, 1).reshape(len(flat), -1), flat)
    assert rows.dtype is torch.float64


@given(products())
def test_a_weight_comes_back(case: tuple[Product, torch.Tensor]) -> None:
    weight, groups = case[0].weight.detach(), groups_of(case[0])
    assert torch.equal(as_weight(as_matrices(weight, groups), weight.shape), weight)


@given(products())
def test_columns_are_those_of_granularities(case: tuple[Product, torch.Tensor]) -> None:
    weight = case[0].weight.detach()
    assume(groups_of(case[0]) == 1)
    as_they_see_it = gathered(lambda: chunks(weight), tuple(weight.shape))
    assert torch.equal(as_matrices(weight, 1)[0], as_they_see_it)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_inputs_are_widened(dtype: torch.dtype) -> None:
    inputs = torch.randn(3, 4).to(dtype)
    (rows,) = input_rows(nn.Linear(4, 2), inputs)
    assert torch.equal(rows, inputs.double()[None])


@pytest.mark.parametrize("layer", [nn.Linear(2, 2), nn.Conv2d(2, 2, 3, groups=2)], ids=str)
def test_no_samples_have_no_rows(layer: Product) -> None:
    shape = (0, 2) if isinstance(layer, nn.Linear) else (0, 2, 5, 5)
    assert sum(rows.shape[1] for rows in input_rows(layer, torch.zeros(shape))) == 0
