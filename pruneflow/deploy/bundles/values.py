"""Codecs: how the stored values are written.

Zeros are always +0.0 once decoded, whatever sign they had.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats.base import Parts
from pruneflow.errors import DeployError
from pruneflow.registry import Registry

VALUES = "values"
"""The part that holds one number for each place, in every codec."""

SCALE = "scale"
"""The part that holds one factor for each row, where a codec needs it."""


class Codec(ABC):
    """A way to write float32 numbers.

    Attributes:
        bits: The width of one value.
        parts: The tensors it writes, and their dtypes.
    """

    bits: ClassVar[int]
    parts: ClassVar[Mapping[str, torch.dtype]]

    @abstractmethod
    def encode(
        self, numbers: torch.Tensor, rows: torch.Tensor, height: int
    ) -> dict[str, torch.Tensor]:
        """Write finite numbers.

        Args:
            numbers: float32, one-dimensional.
            rows: The row each of them stands in; int64.
            height: How many rows the tensor has.

        Raises:
            DeployError: One is too large for this width.
        """

    @abstractmethod
    def decode(self, parts: Parts, rows: torch.Tensor, height: int) -> torch.Tensor:
        """Read numbers; float32, finite, no zero with a sign.

        Args:
            parts: Those of ``Codec.parts``, one-dimensional and of these dtypes; ``values`` as
                long as ``rows``.
            rows: As in ``encode``.
            height: As in ``encode``.

        Raises:
            Damage: The parts do not fit, or a number is not finite.
        """


class Floats(Codec):
    """Numbers rounded to the nearest of a floating-point dtype."""

    dtype: ClassVar[torch.dtype]

    def encode(
        self, numbers: torch.Tensor, rows: torch.Tensor, height: int
    ) -> dict[str, torch.Tensor]:
        """See base class."""
        narrow = numbers.to(self.dtype) + 0.0
        lost = int((~torch.isfinite(narrow)).sum())
        if lost:
            raise DeployError(
                f"{lost} of its weights exceed {torch.finfo(self.dtype).max:g}, the largest "
                f"number of {str(self.dtype).removeprefix('torch.')}; choose values=fp32"
            )
        return {VALUES: narrow}

    def decode(self, parts: Parts, rows: torch.Tensor, height: int) -> torch.Tensor:
        """See base class."""
        return _finite(parts[VALUES].float())


class Fp32(Floats):
    """The numbers as they are."""

    bits = 32
    dtype = torch.float32
    parts: ClassVar[Mapping[str, torch.dtype]] = {VALUES: dtype}


class Fp16(Floats):
    """IEEE half precision: 11 significant bits, up to 65504."""

    bits = 16
    dtype = torch.float16
    parts: ClassVar[Mapping[str, torch.dtype]] = {VALUES: dtype}


class Bf16(Floats):
    """The upper half of a float32: 8 significant bits, its whole range."""

    bits = 16
    dtype = torch.bfloat16
    parts: ClassVar[Mapping[str, torch.dtype]] = {VALUES: dtype}


class Int8(Codec):
    """Whole numbers from -127 to 127 times a float32 scale, the row's largest weight / 127.

    The scale of a row without weights other than zeros is 0. Quantization is symmetric, so that
    zero is exact, and per output row (Krishnamoorthi 2018, arXiv:1806.08342, section 2).
    """

    bits = 8
    largest = 127
    parts: ClassVar[Mapping[str, torch.dtype]] = {VALUES: torch.int8, SCALE: torch.float32}

    def encode(
        self, numbers: torch.Tensor, rows: torch.Tensor, height: int
    ) -> dict[str, torch.Tensor]:
        """See base class."""
        scale = torch.zeros(height).scatter_reduce(0, rows, numbers.abs(), "amax") / self.largest
        divisor = scale.where(scale > 0, 1)[rows]
        steps = (numbers / divisor).round().clamp(-self.largest, self.largest)
        if not bool(torch.isfinite(steps * scale[rows]).all()):
            raise DeployError("its largest weights are too close to the end of float32 for int8")
        return {VALUES: steps.to(torch.int8), SCALE: scale}

    def decode(self, parts: Parts, rows: torch.Tensor, height: int) -> torch.Tensor:
        """See base class."""
        steps, scale = parts[VALUES], parts[SCALE]
        expect(len(scale) == height, f"there are {len(scale)} scales for {height} rows")
        expect(bool(torch.isfinite(scale).all()), "a scale is not finite")
        expect(bool((scale >= 0).all()), "a scale is negative")
        expect(not bool((steps < -self.largest).any()), "a value is -128, outside -127 to 127")
        return _finite(steps * scale[rows])


def _finite(numbers: torch.Tensor) -> torch.Tensor:
    expect(bool(torch.isfinite(numbers).all()), "a value is not finite")
    return numbers + 0.0


CODECS: Registry[Codec] = Registry("values")
CODECS.register("fp32")(Fp32())
CODECS.register("fp16")(Fp16())
CODECS.register("bf16")(Bf16())
CODECS.register("int8")(Int8())
