"""Take channels out of a network for good."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn

from pruneflow.structure.resizing import resize
from pruneflow.structure.slicing import Slices, slice_tensor


@torch.no_grad()
def remove(model: nn.Module, slices: Slices) -> None:
    """Leave only some indices of some tensors; what stays keeps its values.

    Tensors that shrink are new ones: an optimizer has to be given them.

    Args:
        model: Changed in place.
        slices: Of ``kept_slices``.

    Raises:
        ValueError: See ``resize``; then nothing has changed.
    """
    kept = {
        name: slice_tensor(tensor, slices[name])
        for name, tensor in tensors_of(model).items()
        if name in slices
    }
    resize(model, kept)
    for name, tensor in tensors_of(model).items():
        if name in kept:
            tensor.copy_(kept[name])


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Every parameter and buffer by each of its names."""
    parameters = model.named_parameters(remove_duplicate=False)
    return dict(chain(parameters, model.named_buffers(remove_duplicate=False)))
