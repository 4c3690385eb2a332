"""Give the layers of a network other sizes: its structure follows from its tensors' shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Shape = tuple[int, ...]
Shapes = Mapping[str, torch.Tensor | Sequence[int]]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def resize(model: nn.Module, shapes: Shapes) -> None:
    """Make every Linear, Conv1d to 3d and batch norm as large as its tensors are to be.

    What changes its shape becomes a new parameter or buffer of zeros, to be filled, of the same
    dtype and device; the optimizer still holds the old one. All else stays as it is.

    Args:
        model: Changed in place; not at all, if there is an error.
        shapes: By name a shape, or a tensor that has it, as in a state_dict. Names that the
            model does not have are passed over.

    Raises:
        ValueError: A tensor of another kind of layer differs, or a layer's do not fit together.
    """
    changed = [
        (module, wanted, _fit(prefix, module, wanted))
        for prefix, module in model.named_modules()
        if (wanted := _wanted(prefix, module, shapes))
    ]
    made: dict[int, torch.Tensor] = {}  # what modules share, they share ever after
    for module, wanted, settings in changed:
        for key, shape in wanted.items():
            old = getattr(module, key)
            if tuple(old.shape) != shape:
                if id(old) not in made:
                    made[id(old)] = _like(old, shape)
                setattr(module, key, made[id(old)])
        for key, number in settings.items():
            setattr(module, key, number)


def _wanted(prefix: str, module: nn.Module, shapes: Shapes) -> dict[str, Shape]:
    """The shapes of a module's own tensors, if any of them is to change."""
    parameters = module.named_parameters(prefix, recurse=False)
    own = [*parameters, *module.named_buffers(prefix, recurse=False)]
    wanted = {name: _shape(shapes.get(name, tensor)) for name, tensor in own}
    if all(wanted[name] == tuple(tensor.shape) for name, tensor in own):
        return {}
    return {name.rpartition(".")[2]: shape for name, shape in wanted.items()}


def _shape(source: torch.Tensor | Sequence[int]) -> Shape:
    return tuple(source.shape if isinstance(source, torch.Tensor) else source)


def _like(old: torch.Tensor, shape: Shape) -> torch.Tensor:
    new = old.new_zeros(shape)
    return nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new


def _fit(prefix: str, module: nn.Module, wanted: Mapping[str, Shape]) -> dict[str, int]:
    """A layer's settings at its new size.

    Raises:
        ValueError: It has none, or its tensors do not fit together.
    """
    settings, expected = _rule(module)(module, wanted)
    for key, shape in wanted.items():
        own = tuple(getattr(module, key).shape)
        if own != shape and key not in expected:
            raise ValueError(
                f"{_join(prefix, key)} has the shape {own}, not {shape}, and a "
                f"{type(module).__name__} cannot change its size"
            )
        if expected.get(key, own) != shape:
            raise ValueError(
                f"{_join(prefix, key)} cannot have the shape {shape}: beside the layer's other "
                f"tensors it has {expected[key]}"
            )
    return settings


Fit = tuple[dict[str, int], dict[str, Shape]]
"""Settings of a layer, and the shapes of its tensors, that follow from some of the shapes."""


def _rule(module: nn.Module) -> Callable[[nn.Module, Mapping[str, Shape]], Fit]:
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, nn.Linear) and "weight" in own:
        return _linear
    if isinstance(module, CONVOLUTIONS) and "weight" in own:
        return _convolution
    return _batch_norm if isinstance(module, _BatchNorm) else _rigid


def _rigid(module: nn.Module, wanted: Mapping[str, Shape]) -> Fit:
    return {}, {}


def _linear(module: nn.Module, wanted: Mapping[str, Shape]) -> Fit:
    rows, columns = _sides(wanted, 2)
    settings = {"out_features": rows, "in_features": columns}
    return settings, {"weight": (rows, columns), "bias": (rows,)}


def _convolution(module: nn.Module, wanted: Mapping[str, Shape]) -> Fit:
    assert isinstance(module, CONVOLUTIONS)
    window = tuple(module.weight.shape[2:])
    rows, columns = _sides(wanted, 2 + len(window))
    if is_depthwise(module):
        groups, columns = rows, 1
    else:
        groups = module.groups
        rows -= rows % groups
    settings = {"out_channels": rows, "in_channels": columns * groups, "groups": groups}
    return settings, {"weight": (rows, columns, *window), "bias": (rows,)}


def _batch_norm(module: nn.Module, wanted: Mapping[str, Shape]) -> Fit:
    (count, *_), *_ = [shape or (0,) for shape in wanted.values()]
    per_channel = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (count,))
    return {"num_features": count}, {**per_channel, "num_batches_tracked": ()}


def _sides(wanted: Mapping[str, Shape], dims: int) -> tuple[int, int]:
    shape = wanted["weight"]
    return (shape[0], shape[1]) if len(shape) == dims else (1, 1)


def is_depthwise(module: nn.Module) -> bool:
    """Whether it is a convolution of each channel by itself."""
    return (
        isinstance(module, CONVOLUTIONS)
        and module.groups > 1
        and module.groups == module.in_channels == module.out_channels
    )


def _join(prefix: str, key: str) -> str:
    return f"{prefix}.{key}" if prefix else key
