"""Streams of bits, the first bit of a stream in the highest bit of its first byte."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats.base import Integers

Bits = npt.NDArray[np.uint8]
"""One bit an element."""


def to_bytes(bits: npt.NDArray[np.bool_] | Bits) -> torch.Tensor:
    """Eight bits a byte, the last byte filled up with zeros."""
    return torch.from_numpy(np.packbits(bits))


def from_bytes(data: torch.Tensor, count: int, what: str) -> Bits:
    """The first ``count`` bits.

    Raises:
        Damage: There are not just as many bytes as that takes, or the rest is not zero.
    """
    needed = -(-count // 8)
    expect(len(data) == needed, f"the {what} take {needed} bytes, but there are {len(data)}")
    bits = np.unpackbits(data.numpy())
    expect(not bits[count:].any(), f"the unused bits after the {what} are not zero")
    return bits[:count]


def write_numbers(numbers: Integers, width: int) -> torch.Tensor:
    """Numbers below ``2**width``, ``width`` bits each, their highest bit first."""
    bits = np.empty((len(numbers), width), dtype=np.uint8)
    for column in range(width):
        bits[:, column] = numbers >> (width - 1 - column) & 1
    return to_bytes(bits.reshape(-1))


def read_numbers(data: torch.Tensor, count: int, width: int, what: str) -> Integers:
    """``count`` numbers of ``width`` bits.

    Raises:
        Damage: See ``from_bytes``.
    """
    bits = from_bytes(data, count * width, what).reshape(count, width)
    numbers = np.zeros(count, dtype=np.int64)
    for column in range(width):
        numbers = numbers << 1 | bits[:, column]
    return numbers
