"""Which kernel runs each layer for each size of batch, where nothing can be measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch

from pruneflow.deploy.kernels import KERNELS, Activation, Packed, Window
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.errors import DeployError

INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Layer:
    """A pruned layer.

    Attributes:
        name: What it is called.
        weight: (out, in), or (out, in, height, width), in the precision it is to run in.
        bias: (out,), of the same dtype.
        activation: Of the outputs.
        window: Of a convolution.
        sides: Height and width of a convolution's inputs.
        kernels: Names of kernels; if there are none, the fast one that reads the fewest bytes.
    """

    name: str
    weight: torch.Tensor
    bias: torch.Tensor | None = None
    activation: Activation = field(default_factory=Activation)
    window: Window = field(default_factory=Window)
    sides: tuple[int, int] = (1, 1)
    kernels: Sequence[str] = ()


@dataclass(frozen=True)
class Work:
    """Launches that follow one another, and what their tensors are.

    Attributes:
        layer: What is computed.
        kernel: By which kernel.
        batch: For how many samples.
        config: Sizes of tiles, of warps and of stages.
        launches: In order.
        tensors: ``input``, ``output``, and under any other name what is to be stored. A tensor of
            a launch that shares memory with none of them is memory for work: whatever is in it
            before the first launch does not matter.
    """

    layer: str
    kernel: str
    batch: int
    config: Mapping[str, Any]
    launches: Sequence[Launch]
    tensors: Mapping[str, torch.Tensor]


def plan(layers: Sequence[Layer], batches: Sequence[int]) -> Iterator[Work]:
    """Each layer with each of its kernels for each size of batch, its best guess of a config.

    Inputs of convolutions have their channels last, as all outputs have. A convolution of 1x1 may
    be a product of matrices: a row of inputs for each position of the outputs.

    Raises:
        DeployError: A kernel cannot hold a layer that it was asked to, or no kernel can.
    """
    for layer in layers:
        for packed in _packed(layer):
            for batch in batches:
                yield _work(layer, packed, batch)


def _packed(layer: Layer) -> list[Packed]:
    names = layer.kernels or [name for name in KERNELS if KERNELS[name].aim == "speed"]
    refusals = {name: _refusal(name, layer) for name in names}
    if (layer.kernels and any(refusals.values())) or all(refusals.values()):
        text = "; ".join(f"{name}: {why}" for name, why in refusals.items() if why)
        raise DeployError(f"{layer.name}: there is no kernel for it: {text}")
    held = [name for name, why in refusals.items() if not why]
    packed = [KERNELS[name].pack(_as_held(name, layer)) for name in held]
    return packed if layer.kernels else [min(packed, key=lambda one: one.bytes)]


def _refusal(name: str, layer: Layer) -> str | None:
    """Why a kernel is not for a layer."""
    dimensions = {"linear": 2, "conv2d": 4}[KERNELS[name].op]
    weight = _as_held(name, layer)
    if weight.dim() != dimensions:
        return f"is for {KERNELS[name].op}"
    return KERNELS[name].refuses(weight)


def _as_held(name: str, layer: Layer) -> torch.Tensor:
    """The weight as a kernel sees it: a convolution of 1x1 may be a matrix."""
    is_point = layer.weight.shape[2:] == (1, 1) and layer.window.padding == (0, 0)
    return layer.weight.flatten(1) if KERNELS[name].op == "linear" and is_point else layer.weight


def _work(layer: Layer, packed: Packed, batch: int) -> Work:
    kernel, weight, window = KERNELS[packed.kernel], layer.weight, layer.window
    sides = () if weight.dim() == 2 else window.output(layer.sides, weight.shape[2:])
    positions = batch * prod(sides)
    if kernel.op == "linear":
        x = weight.new_empty(positions, weight.shape[1])
    else:
        x = weight.new_empty(batch, *layer.sides, weight.shape[1]).movedim(-1, 1)
    config = kernel.configs(packed, positions)[0]
    y = kernel.output(x, packed, window)
    launches = kernel.launches(x, packed, layer.bias, layer.activation, window, config, y)
    parts = {f"{layer.name}:{kernel.name}:{i}": part for i, part in enumerate(packed.parts)}
    bias = {} if layer.bias is None else {f"{layer.name}:bias": layer.bias}
    tensors = {INPUT: x, OUTPUT: y} | parts | bias
    return Work(layer.name, kernel.name, batch, config, launches, tensors)
