"""The whole file of a real network against the entropy bound."""

from __future__ import annotations

import pytest
import torch

from pruneflow.deploy.bundles import bundle
from pruneflow.deploy.bundles.entropy import bound_bits
from pruneflow.deploy.bundles.packing import Packed, pack, smallest
from pruneflow.deploy.bundles.values import CODECS

LENET_300_100 = {"fc1": (300, 784), "fc2": (100, 300), "output": (10, 100)}


def lenet(sparsity: float, values: str) -> tuple[int, float]:
    """Bytes of a bundle with one global threshold on random weights, and of the bound."""
    weights = {name: torch.randn(shape) / shape[1] ** 0.5 for name, shape in LENET_300_100.items()}
    scores = torch.cat([weight.abs().reshape(-1) for weight in weights.values()])
    threshold = scores.quantile(sparsity)
    width, bound = CODECS[values].bits, 0.0
    tensors: dict[str, Packed | torch.Tensor] = {}
    for name, weight in weights.items():
        mask = weight.abs() >= threshold
        layout = smallest(mask, width)
        tensors[f"{name}.weight"] = pack(name, weight, mask, layout, values)
        tensors[f"{name}.bias"] = torch.zeros(len(weight))
        bound += bound_bits(mask.numel(), int(mask.sum()), width) / 8 + 4 * len(weight)
    return len(bundle.encode(tensors)), bound


@pytest.mark.parametrize("sparsity", [0.9, 0.95])
def test_the_file_is_within_ten_percent_of_the_bound(sparsity: float) -> None:
    size, bound = lenet(sparsity, "fp32")
    assert bound <= size <= 1.1 * bound


@pytest.mark.parametrize("values", list(CODECS))
def test_header_and_scales_take_less_than_four_kilobytes(values: str) -> None:
    size, bound = lenet(0.98, values)
    assert size <= 1.02 * bound + 4096
