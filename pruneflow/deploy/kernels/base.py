"""What a kernel for pruned layers is: a packing of weights, and two ways to multiply by it.

``launches`` multiplies on a GPU, by Triton; ``reference`` says the same in plain torch. Both read
the same packed weight, whose values have the dtype of the inputs: float16, bfloat16 or float32.
Sums are float32, and are rounded to that dtype once, after bias and activation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch.nn import functional as F

from pruneflow.deploy.graphs import ops
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.registry import Registry

Shape = tuple[int, ...]
Config = Mapping[str, int]
"""Sizes of tiles by the names of constants, ``num_warps`` and ``num_stages``."""

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
ACTIVATIONS = ("none", *ops.ACTIVATIONS)
"""By number, as ``epilogue.activated`` knows them."""


@dataclass(frozen=True)
class Activation:
    """What is done to a sum and its bias.

    Attributes:
        name: One of ``ACTIVATIONS``.
        slope: Of ``leaky_relu`` below zero.
    """

    name: str = "none"
    slope: float = 0.0

    @property
    def numbers(self) -> tuple[int, float]:
        """Its number in ``ACTIVATIONS``, and its slope."""
        return ACTIVATIONS.index(self.name), float(self.slope)

    @property
    def constants(self) -> dict[str, int | float]:
        """Of ``epilogue.activated``."""
        return dict(zip(("KIND", "SLOPE"), self.numbers, strict=True))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """The same in torch."""
        if self.name == "leaky_relu":
            return F.leaky_relu(x, self.slope)
        if self.name == "relu6":
            return F.relu6(x)
        return F.relu(x) if self.name == "relu" else x


@dataclass(frozen=True)
class Window:
    """How a convolution's kernel moves; all of it as (height, width)."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def numbers(self) -> list[int]:
        """All six, as ``of`` takes them."""
        return [*self.stride, *self.padding, *self.dilation]

    @classmethod
    def of(cls, numbers: Sequence[int]) -> Window:
        """What ``numbers`` stands for."""
        return cls(*((numbers[i], numbers[i + 1]) for i in (0, 2, 4)))

    def output(self, side: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Height and width of the output for inputs and kernels of these."""
        height, width = (
            (side[i] + 2 * self.padding[i] - self.dilation[i] * (kernel[i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in (0, 1)
        )
        return height, width


@dataclass(frozen=True)
class Packed:
    """A pruned weight as one kernel reads it.

    Attributes:
        kernel: The kernel's name.
        shape: Of the weight: (out, in), or (out, in, height, width).
        parts: Tensors of fixed meaning and order, all on one device.
        numbers: Whole numbers of fixed meaning and order.
    """

    kernel: str
    shape: Shape
    parts: tuple[torch.Tensor, ...]
    numbers: tuple[int, ...] = ()

    @property
    def bytes(self) -> int:
        """What has to be read to multiply by it once."""
        return sum(part.nbytes for part in self.parts)

    def to(self, device: torch.device | str) -> Packed:
        """The same on another device."""
        return replace(self, parts=tuple(part.to(device) for part in self.parts))


class Kernel(ABC):
    """A way to multiply by a pruned weight on a GPU.

    Attributes:
        name: What it is called.
        op: The operation of a graph that it runs: inputs (n, in), or (n, in, height, width).
        aim: What it is good for; one for ``size`` at best ties with dense.
    """

    name: ClassVar[str]
    op: ClassVar[Literal["linear", "conv2d"]] = "linear"
    aim: ClassVar[Literal["speed", "size"]] = "speed"

    def refuses(self, weight: torch.Tensor) -> str | None:
        """Why it cannot hold a weight, in words that follow the layer's name; None if it can."""
        return None

    @abstractmethod
    def pack(self, weight: torch.Tensor) -> Packed:
        """Lay a weight out, on the CPU.

        Args:
            weight: One of ``DTYPES``, on the CPU, its zeros in place; one it does not refuse.
        """

    @abstractmethod
    def unpack(self, packed: Packed) -> torch.Tensor:
        """The weight again, bit for bit, but for the sign of zeros."""

    @abstractmethod
    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """What is worth measuring, the best guess first; never none.

        Args:
            packed: The weight.
            batch: Rows of inputs; for a convolution, positions of all outputs together.
        """

    @abstractmethod
    def launches(
        self,
        x: torch.Tensor,
        packed: Packed,
        bias: torch.Tensor | None,
        activation: Activation,
        window: Window,
        config: Config,
        y: torch.Tensor,
    ) -> Sequence[Launch]:
        """What has to be launched, one after the other.

        Args:
            x: Inputs of any strides, at least one row.
            packed: The weight, on the inputs' device, its values of their dtype.
            bias: (out,), of the inputs' dtype.
            activation: Of the outputs.
            window: Of a convolution.
            config: One of ``configs``.
            y: Outputs, to be written; as ``output`` makes them.
        """

    def output(self, x: torch.Tensor, packed: Packed, window: Window) -> torch.Tensor:
        """Room for outputs: (n, out), or (n, out, height, width) with the channels last."""
        if self.op == "linear":
            return x.new_empty(len(x), packed.shape[0])
        sides = window.output(x.shape[2:], packed.shape[2:])
        positions = len(x) * sides[0] * sides[1]
        return channels_last(x.new_empty(positions, packed.shape[0]), (len(x), *sides))

    def run(
        self,
        x: torch.Tensor,
        packed: Packed,
        bias: torch.Tensor | None,
        activation: Activation,
        window: Window,
        config: Config,
    ) -> torch.Tensor:
        """Outputs of inputs, by Triton."""
        y = self.output(x, packed, window)
        if y.numel():
            for launch in self.launches(x, packed, bias, activation, window, config, y):
                launch.run()
        return y

    def reference(
        self,
        x: torch.Tensor,
        packed: Packed,
        bias: torch.Tensor | None,
        activation: Activation,
        window: Window,
    ) -> torch.Tensor:
        """The same in plain torch: a dense product in float32, rounded once."""
        weight, wide = self.unpack(packed).float(), x.float()
        offset = None if bias is None else bias.float()
        if self.op == "linear":
            y = F.linear(wide, weight, offset)
        else:
            y = F.conv2d(wide, weight, offset, window.stride, window.padding, window.dilation)
        return activation(y).to(x.dtype)


def channels_last(rows: torch.Tensor, sides: Sequence[int]) -> torch.Tensor:
    """Feature maps (n, out, height, width) that lie as rows (positions, out) do.

    Args:
        rows: One a position.
        sides: n, height and width.
    """
    if rows.shape[1] == 1:  # torch's convolutions misread one channel unless it is contiguous
        return rows.view(sides[0], 1, *sides[1:])
    return rows.view(*sides, rows.shape[1]).permute(0, 3, 1, 2)


def split(config: Config) -> tuple[dict[str, Any], int, int]:
    """The sizes of tiles, the number of warps and the number of stages of a config."""
    tiles: dict[str, Any] = dict(config)
    warps, stages = tiles.pop("num_warps"), tiles.pop("num_stages")
    return tiles, warps, stages


KERNELS: Registry[Kernel] = Registry("kernel", "pruneflow.kernels")
