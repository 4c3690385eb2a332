"""What a network takes: float32 on the CPU, in the shape it was made for."""

from __future__ import annotations

import torch

from pruneflow.deploy.graphs.ops import Shape
from pruneflow.deploy.place import CPU, Place, name_of
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


def require_dtype(x: torch.Tensor, dtype: torch.dtype) -> None:
    """Refuse inputs of another dtype.

    Raises:
        DeployError: They are.
    """
    if x.dtype is not dtype:
        raise DeployError(f"the network takes {name_of(dtype)}, not {x.dtype}")


def require(x: torch.Tensor, shape: Shape, place: Place = CPU) -> None:
    """Refuse what is no batch of inputs.

    Args:
        x: Given as inputs.
        shape: Of one input.
        place: Where the network runs.

    Raises:
        DeployError: It is not (n, *shape), not of the place's dtype, or elsewhere.
    """
    require_shape(x, shape)
    if x.dtype != place.dtype or x.device.type != place.device:
        takes = f"{name_of(place.dtype)} on {'a GPU' if place.is_gpu else 'the CPU'}"
        raise DeployError(f"the network takes {takes}, not {x.dtype} on {x.device}")
