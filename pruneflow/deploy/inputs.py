"""What a network takes: float32 on the CPU, in the shape it was made for."""

from __future__ import annotations

import torch

from pruneflow.deploy.graphs.ops import Shape
from pruneflow.errors import DeployError


def require_shape(x: torch.Tensor, shape: Shape) -> None:
    """Refuse inputs of another shape.

    Args:
        x: Given as inputs.
        shape: Of one input.

    Raises:
        DeployError: It is not (n, *shape).
    """
    if x.dim() == 0 or x.shape[1:] != shape:
        wanted = ", ".join(["n", *map(str, shape)])
        raise DeployError(f"the network takes inputs of ({wanted}), not {tuple(x.shape)}")


def require(x: torch.Tensor, shape: Shape) -> None:
    """Refuse what is no batch of inputs.

    Args:
        x: Given as inputs.
        shape: Of one input.

    Raises:
        DeployError: It is not (n, *shape), not float32, or not on the CPU.
    """
    require_shape(x, shape)
    if x.dtype != torch.float32 or not x.is_cpu:
        raise DeployError(f"the network takes float32 on the CPU, not {x.dtype} on {x.device}")
