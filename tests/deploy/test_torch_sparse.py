"""Torch's own sparse matrices as engines are given what torch has fast kernels for."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pruneflow.deploy.backends.torch_sparse import NARROWEST, SparseLinear, TorchBsr


@pytest.mark.parametrize("batch", [1, 15, 16, 17, 48])
@pytest.mark.parametrize("has_bias", [True, False])
def test_batches_are_as_large_as_tiles_want_them(
    batch: int, has_bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    linear = F.linear

    def noticed(x: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        given.append(len(x))
        return linear(x, *rest)

    monkeypatch.setattr(F, "linear", noticed)
    weight = torch.randn(32, 64)
    bias = torch.randn(32) if has_bias else None
    x = torch.randn(batch, 64)
    packed = TorchBsr().packed(weight)
    assert packed is not None
    y = SparseLinear(packed, bias)(x)
    assert given == [-(-batch // NARROWEST) * NARROWEST]
    torch.testing.assert_close(y, linear(x, weight, bias))
