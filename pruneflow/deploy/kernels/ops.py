"""Pruned layers as one torch operation, which ``torch.compile`` and ``torch.export`` keep whole.

On a GPU it launches Triton kernels; on a CPU it is their plain reference.
"""

from __future__ import annotations

import torch

from pruneflow.deploy.inputs import require_dtype
from pruneflow.deploy.kernels import KERNELS, tuning
from pruneflow.deploy.kernels.base import Activation, Packed, Window
from pruneflow.errors import DeployError


@torch.library.custom_op(
    "pruneflow::sparse_layer",
    mutates_args=(),
    device_types="cpu",
    schema="(Tensor x, Tensor[] parts, Tensor? bias, str kernel, SymInt[] shape, "
    "SymInt[] numbers, str activation, float slope, SymInt[] window) -> Tensor",
)  # written out, for torch 2.6 cannot read it from list[...]
def sparse_layer(
    x: torch.Tensor,
    parts: list[torch.Tensor],
    bias: torch.Tensor | None,
    kernel: str,
    shape: list[int],
    numbers: list[int],
    activation: str,
    slope: float,
    window: list[int],
) -> torch.Tensor:
    """Outputs of a layer whose weight is packed.

    Args:
        x: (n, in), or (n, in, height, width); float16, bfloat16 or float32.
        parts: ``Packed.parts``, as are ``kernel``, ``shape`` and ``numbers``.
        bias: (out,), of the inputs' dtype.
        kernel: A name of ``KERNELS``.
        shape: Of the weight.
        numbers: What the kernel needs to know besides.
        activation: A name of ``ACTIVATIONS``.
        slope: Of ``leaky_relu``.
        window: Stride, padding and dilation of a convolution, see ``Window.numbers``.
    """
    packed = _packed(kernel, shape, parts, numbers)
    _require(x, packed)
    what, where = Activation(activation, slope), Window.of(window)
    y = KERNELS[kernel].reference(x, packed, bias, what, where)
    return KERNELS[kernel].output(x, packed, where).copy_(y)  # laid out as promised


@sparse_layer.register_kernel("cuda")
def _(
    x: torch.Tensor,
    parts: list[torch.Tensor],
    bias: torch.Tensor | None,
    kernel: str,
    shape: list[int],
    numbers: list[int],
    activation: str,
    slope: float,
    window: list[int],
) -> torch.Tensor:
    packed = _packed(kernel, shape, parts, numbers)
    _require(x, packed)
    with torch.cuda.device(x.device):
        return tuning.run(x, packed, bias, Activation(activation, slope), Window.of(window))


@sparse_layer.register_fake
def _(
    x: torch.Tensor,
    parts: list[torch.Tensor],
    bias: torch.Tensor | None,
    kernel: str,
    shape: list[int],
    numbers: list[int],
    activation: str,
    slope: float,
    window: list[int],
) -> torch.Tensor:
    return KERNELS[kernel].output(x, _packed(kernel, shape, parts, numbers), Window.of(window))


def _packed(kernel: str, shape: list[int], parts: list[torch.Tensor], numbers: list[int]) -> Packed:
    return Packed(kernel, tuple(shape), tuple(parts), tuple(numbers))


def _require(x: torch.Tensor, packed: Packed) -> None:
    """Refuse inputs that do not fit the weight: kernels would read beyond them."""
    if x.dim() != len(packed.shape) or x.shape[1] != packed.shape[1]:
        raise DeployError(f"a weight {packed.shape} does not take inputs {tuple(x.shape)}")
    require_dtype(x, next(part.dtype for part in packed.parts if part.is_floating_point()))
