"""Layers as products: the matrix of a weight, and the rows of inputs that it multiplies.

Of a convolution the columns are the input channels of one place of its window after the other,
as granularities see them: (out, height * width * in). A grouped convolution is several products,
each of its own outputs and its own inputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional as F

PIECE = 1 << 22
"""About how many numbers of unfolded inputs exist at a time."""

Product: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def groups_of(product: Product) -> int:
    """How many products a layer is."""
    return 1 if isinstance(product, nn.Linear) else product.groups


def as_matrices(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """A weight (out, in, ...) as the matrices (groups, out / groups, columns)."""
    return weight.movedim(1, -1).reshape(groups, weight.shape[0] // groups, -1)


def as_weight(matrices: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """What ``as_matrices`` made of a weight of that shape, turned back."""
    return matrices.reshape(shape[0], *shape[2:], shape[1]).movedim(-1, 1)


def input_rows(product: Product, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
    """The rows that a layer's matrices multiply, in pieces and in double precision.

    Args:
        product: The layer.
        inputs: What its forward takes, with or without a dimension of samples.

    Yields:
        Tensors of (groups, rows, columns). All rows together, times the transposed matrices,
        are the layer's outputs without the bias.
    """
    if isinstance(product, nn.Linear):
        rows = inputs.detach().reshape(-1, product.in_features)
        for part in torch.split(rows, max(1, PIECE // product.in_features)):
            yield part.double()[None]
        return
    window = torch.Size(product.kernel_size)
    samples = inputs.detach()
    if samples.ndim == len(window) + 1:
        samples = samples[None]
    unfolded = samples.shape[1:].numel() * window.numel()
    if not len(samples):
        return
    for part in torch.split(samples, max(1, PIECE // unfolded)):
        yield _windows(product, part.double())


def _windows(conv: nn.Conv1d | nn.Conv2d | nn.Conv3d, inputs: torch.Tensor) -> torch.Tensor:
    """(samples, in, ...) as (groups, samples * places, window * in / groups)."""
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    places = F.pad(inputs, conv._reversed_padding_repeated_twice, mode=mode)
    steps = zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
    for axis, (size, stride, dilation) in enumerate(steps, start=2):
        places = places.unfold(axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
    grouped = places.view(len(places), conv.groups, -1, *places.shape[2:])
    rows = grouped.movedim(1, 0).movedim(2, -1)  # (groups, samples, *places, *window, inputs)
    return rows.reshape(conv.groups, -1, conv.weight[0].numel())
