"""Which tiles a kernel runs with: measured once for each weight and size of batch."""

from __future__ import annotations

import torch

from pruneflow.deploy.kernels.base import KERNELS, Activation, Packed, Window


def run(
    x: torch.Tensor,
    packed: Packed,
    bias: torch.Tensor | None,
    activation: Activation,
    window: Window,
) -> torch.Tensor:
    """Outputs of inputs on a GPU."""
    kernel = KERNELS[packed.kernel]
    config = kernel.configs(packed, len(x))[0]
    return kernel.run(x, packed, bias, activation, window, config)
