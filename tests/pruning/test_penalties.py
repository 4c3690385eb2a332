"""Penalties: each gradient is what autograd says of the paper's formula, and zero is left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.pruning.penalties import PENALTIES

FORMULAS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "l1": lambda w: w.abs().sum(),
    "group_lasso": lambda w: sum(w[0].numel() ** 0.5 * (row**2).sum().sqrt() for row in w),
    "slimming": lambda w: w.abs().sum(),
}

each = pytest.mark.parametrize("name", list(PENALTIES))


@each
@given(shape=st.lists(st.integers(1, 5), min_size=2, max_size=4), seed=st.integers(0, 999))
def test_the_gradient_is_that_of_the_formula(name: str, shape: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    (wanted,) = torch.autograd.grad(FORMULAS[name](weight), weight)
    torch.testing.assert_close(PENALTIES[name](weight.detach()), wanted)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_zeros_are_left_alone_in_every_dtype(name: str, dtype: torch.dtype) -> None:
    weight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-0.0, -2.0]], dtype=dtype)
    gradient = PENALTIES[name](weight)
    assert gradient.dtype == dtype
    assert torch.equal(gradient == 0, weight == 0)
    assert gradient.isfinite().all()


def test_group_lasso_by_hand() -> None:
    rows = PENALTIES["group_lasso"](torch.tensor([[3.0, -4.0], [0.0, 0.0]]))
    torch.testing.assert_close(rows[0], 2**0.5 * torch.tensor([0.6, -0.8]))
    assert rows[1].tolist() == [0, 0]
    filters = PENALTIES["group_lasso"](torch.full((1, 1, 2, 2), 5.0))
    assert filters.flatten().tolist() == [1.0] * 4  # sqrt(4) * 5 / sqrt(4 * 25)


def test_a_group_too_small_for_a_norm_is_zero() -> None:
    tiny = torch.tensor([[1e-30, 1e-30], [1e-22, 0.0]])
    assert PENALTIES["group_lasso"](tiny).isfinite().all()
