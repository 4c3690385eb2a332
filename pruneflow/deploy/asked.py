"""What deploy is asked about: a network, an example, data; refused where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from pruneflow.deploy.accuracy import Classification
from pruneflow.deploy.bundles.strict_json import dumps
from pruneflow.deploy.module_state import own_copy
from pruneflow.errors import DeployError

CHECKED = 64
"""Inputs that engines are checked on at least, where there are so many."""


def network(module: object, example: object) -> nn.Module:
    """The module without what ``torch.compile`` wrapped around it, or a copy of normal tensors.

    Raises:
        DeployError: It is no module on the CPU, or the example is no batch of inputs.
    """
    if not isinstance(module, nn.Module):
        raise DeployError(f"the network has to be an nn.Module, not {_named(module)}")
    if not isinstance(example, torch.Tensor):
        raise DeployError(f"the example has to be a tensor (n, ...), not {_named(example)}")
    if example.dtype != torch.float32 or not example.is_cpu or example.dim() < 2:
        raise DeployError(
            f"the example has to be a batch of float32 inputs (n, ...) on the CPU, not "
            f"{example.dtype} of {tuple(example.shape)} on {example.device}"
        )
    if not example.numel():
        raise DeployError(f"the example is empty: {tuple(example.shape)}")
    unwrapped: nn.Module = getattr(module, "_orig_mod", module)
    tensors = dict((*unwrapped.named_parameters(), *unwrapped.named_buffers()))
    for name, tensor in tensors.items():
        if tensor.device.type not in ("cpu", "meta"):
            raise DeployError(f"'{name}' is on {tensor.device}: give module.cpu()")
    if any(not is_lazy(tensor) and tensor.is_inference() for tensor in tensors.values()):
        with torch.inference_mode(False):
            return own_copy(unwrapped)
    return unwrapped


def plain(source: Mapping[str, Any]) -> dict[str, Any]:
    """Where a network comes from, as the report can say it.

    Raises:
        DeployError: JSON has no words for it.
    """
    try:
        dumps(dict(source))
    except (TypeError, ValueError) as error:
        raise DeployError(f"source cannot be written as JSON: {error}") from None
    return dict(source)


def inputs(
    example: torch.Tensor, data: Classification | None, batches: tuple[int, ...]
) -> tuple[torch.Tensor, int]:
    """What engines are checked and timed with, and how many of them are not repetitions.

    Args:
        example: Taken where there are no data.
        data: Real inputs.
        batches: The largest has to be filled.
    """
    most = max(batches)
    wanted = max(most, CHECKED)
    found = example.detach()[:wanted] if data is None else data.inputs(wanted)
    repeats = -(-most // len(found))
    return found.repeat(repeats, *[1] * (found.dim() - 1)).contiguous(), len(found)


def _named(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
