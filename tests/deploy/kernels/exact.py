"""Numbers whose sums of products are exact in float32, in whatever order they are added."""

from __future__ import annotations

import torch

from pruneflow.deploy.kernels import KERNELS, Activation, Config, Packed, Window

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def whole(*shape: int, seed: int, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    """Whole numbers from -3 to 3."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-3, 4, shape, generator=generator).to(dtype)


def run(
    packed: Packed,
    x: torch.Tensor,
    bias: torch.Tensor | None,
    config: Config,
    window: Window | None = None,
) -> torch.Tensor:
    """Outputs by Triton, with one config."""
    kernel, packed = KERNELS[packed.kernel], packed.to(DEVICE)
    bias = None if bias is None else bias.to(DEVICE)
    y = kernel.run(x.to(DEVICE), packed, bias, Activation(), window or Window(), config)
    return y.cpu()
