"""Pruned layers that are ready to be called."""

from __future__ import annotations

import torch

import pruneflow.deploy.kernels.ops  # noqa: F401 - registers the operation
from pruneflow.deploy.kernels import KERNELS, Activation, Packed, Window
from pruneflow.deploy.kernels.base import channels_last
from pruneflow.errors import DeployError


class PackedLayer:
    """A layer whose weight lies as its kernel reads it.

    Args:
        packed: The weight.
        bias: (out,), of the inputs' dtype.
        activation: What follows.
        window: Of a convolution.
    """

    def __init__(
        self, packed: Packed, bias: torch.Tensor | None, activation: Activation, window: Window
    ) -> None:
        self._parts, self._bias = list(packed.parts), bias
        self._kernel = packed.kernel
        self._shape, self._numbers = list(packed.shape), list(packed.numbers)
        self._activation, self._slope = activation.name, activation.slope
        self._window = window.numbers

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, out) or (n, out, height, width)."""
        y: torch.Tensor = torch.ops.pruneflow.sparse_layer(
            x, self._parts, self._bias, self._kernel, self._shape, self._numbers,
            self._activation, self._slope, self._window,
        )  # fmt: skip
        return y


class Pointwise:
    """A 1x1 convolution without padding as a matrix product over positions.

    Args:
        product: Outputs (positions, out) of inputs (positions, in).
        stride: Down and across.
    """

    def __init__(self, product: PackedLayer, stride: tuple[int, int]) -> None:
        self._product, (self._down, self._across) = product, stride

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (n, out, height, width), the channels last."""
        positions = x[:, :, :: self._down, :: self._across].permute(0, 2, 3, 1)
        y = self._product(positions.reshape(-1, positions.shape[3]))
        return channels_last(y, positions.shape[:3])


def packed_layer(
    kernel: str,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    activation: Activation,
    window: Window | None = None,
) -> PackedLayer:
    """A layer of a weight (out, in) or (out, in, height, width) that the kernel can hold.

    Args:
        kernel: A name of ``KERNELS``.
        weight: Its zeros in place.
        bias: (out,), or None.
        activation: What follows.
        window: Of a convolution.

    Raises:
        DeployError: The kernel cannot hold the weight.
    """
    there, held = KERNELS[kernel], weight.detach().cpu()
    if why := there.refuses(held):
        raise DeployError(why)
    packed = there.pack(held).to(weight.device)
    return PackedLayer(packed, bias, activation, window or Window())
