"""How the outputs of pruned convolutions lie in memory."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pruneflow.deploy.kernels import Activation, Window
from pruneflow.deploy.kernels.layers import Pointwise, packed_layer


def whole(*shape: int) -> torch.Tensor:
    """Whole numbers, whose sums are exact in any order."""
    return torch.randint(-4, 5, shape).float()


def convolved(x: torch.Tensor, out: int, side: int) -> torch.Tensor:
    weight = whole(out, x.shape[1], side, side)
    if side > 1:
        return packed_layer("bsr_conv", weight, None, Activation(), Window())(x)
    product = packed_layer("sell", weight[:, :, 0, 0], None, Activation())
    return Pointwise(product, (1, 1))(x)


@pytest.mark.parametrize("side", [1, 3])
def test_channels_come_last(side: int) -> None:
    y = convolved(whole(4, 3, 7, 6), 5, side)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [1, 3])
def test_torch_reads_one_channel_rightly(side: int) -> None:
    """Its convolutions go astray where the strides of one channel say that it comes last."""
    x, weight = whole(16, 3, 7, 6), whole(2, 1, 4, 8 - side)
    for _ in range(20):
        y = convolved(x, 1, side)
        assert y.stride() == torch.empty(y.shape).stride()
        z = F.conv2d(y, weight, None, (1, 3), (2, 1))
        right = F.conv2d(y.double(), weight.double(), None, (1, 3), (2, 1))
        assert torch.equal(z.double(), right)
