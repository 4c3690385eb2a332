"""What is trained with a granularity is what formats and kernels for it are made for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pruneflow.deploy.backends.torch_sparse import TorchBsr, TorchSemiStructured
from pruneflow.deploy.bundles.packing import size, smallest
from pruneflow.deploy.formats import FORMATS
from pruneflow.modifiers.fields import GranularityKind
from pruneflow.network import Network
from pruneflow.pruning.allocation import ALLOCATIONS, Guard
from pruneflow.pruning.scope import find_layers
from pruneflow.state import PruneState


def trained(layer: nn.Module, value: Any, sparsity: float = 0.75) -> torch.Tensor:
    """The layer's weight, pruned."""
    it = GranularityKind().parse(value)
    made, layers = Network(layer, [], [], PruneState(), 0), find_layers(layer)
    share = it.sparsity or sparsity
    made.prune(["weight"], it.quota(ALLOCATIONS["global"], layers, share, Guard()), "random", it)
    return made.weights["weight"].detach()


def packed(kernel: str, weight: torch.Tensor) -> Any:
    pytest.importorskip("triton")
    from pruneflow.deploy.kernels import KERNELS

    assert KERNELS[kernel].refuses(weight) is None
    return KERNELS[kernel].pack(weight)


@pytest.mark.parametrize("value", ["2:4", "1:4", "2:8", "4:16", "1:32"])
def test_the_kernel_of_n_of_m_finds_both_numbers(value: str) -> None:
    n, m = map(int, value.split(":"))
    assert packed("nm", trained(nn.Linear(128, 16), value)).numbers == (n, m)
    pointwise = trained(nn.Conv2d(128, 16, 1), value)
    assert packed("nm", pointwise[:, :, 0, 0]).numbers == (n, m)


def test_two_of_four_is_what_sparse_tensor_cores_take() -> None:
    weight = trained(nn.Linear(128, 64), "2:4")
    assert bool(((weight.view(-1, 4) != 0).sum(1) == 2).all())
    assert TorchSemiStructured().packed(weight) is None, "in float32"
    assert FORMATS["n:m"].refuses(weight.ne(0)) is None
    assert size(weight, "n:m", 32) == size(weight, smallest(weight, 32), 32)


@pytest.mark.parametrize("side", [16, 32, 64])
def test_blocks_are_found_by_formats_and_kernels(side: int) -> None:
    weight = trained(nn.Linear(256, 128), {"block": [side, side]})
    assert smallest(weight, 32) == smallest(weight, 16) == "bsr"
    assert packed("bsr", weight).parts[0].shape[1:] == (side, side)
    blocks = TorchBsr().packed(weight)
    assert blocks is not None
    assert blocks.values().numel() >= weight.count_nonzero()


@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("window", [(3, 3), (1, 5)])
def test_blocks_of_a_convolution_are_its_kernels(side: int, window: tuple[int, int]) -> None:
    weight = trained(nn.Conv2d(64, 128, window), {"block": [side, side]})
    values = packed("bsr_conv", weight).parts[0]
    assert values.shape[1:] == (side, side)
    assert values.numel() == weight.count_nonzero()
