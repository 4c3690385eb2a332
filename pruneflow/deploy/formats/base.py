"""What a layout is: an ordered list of places, written down as an index.

A *place* is the position of a weight in its tensor, counted row by row. A layout decides which
places a packed tensor stores a value for; every kept weight has one, and where the layout cannot
do without, some pruned weights too, with the value 0. How the values are written is no matter of
the layout's.

A tensor has ``shape[0]`` rows; the other dimensions together are its columns, so that the
weights of one output neuron or output channel are one row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from pruneflow.deploy.bundles.damage import Damage, expect, quoted
from pruneflow.registry import Registry

Shape = tuple[int, ...]
Parts = Mapping[str, torch.Tensor]
Option = int | list[int]
Options = Mapping[str, Option]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """What a layout wrote down about a mask.

    Attributes:
        parts: One-dimensional tensors, by name.
        options: Whole numbers the decoder needs besides.
        places: The places that values are stored for, in their order; int64.
    """

    parts: dict[str, torch.Tensor]
    options: dict[str, Option]
    places: torch.Tensor

    @property
    def bytes(self) -> int:
        """The size of the parts."""
        return sum(part.nbytes for part in self.parts.values())


class Format(ABC):
    """A layout with its settings; ``encode`` and ``decode`` are inverse to each other.

    Attributes:
        name: What it is called in bundles and on the command line.
        parts: The tensors of its index, and their dtypes.
        options: The names of its options; all are needed to decode.
    """

    name: ClassVar[str]
    parts: ClassVar[Mapping[str, torch.dtype]] = {}
    options: ClassVar[tuple[str, ...]] = ()

    def refuses(self, mask: torch.Tensor) -> str | None:
        """Why it cannot hold a mask, in words that follow the tensor's name; None if it can."""
        return None

    @abstractmethod
    def encode(self, mask: torch.Tensor) -> Index:
        """Write a mask down.

        Args:
            mask: Booleans of any shape on the CPU, True where a weight is kept; one that it
                does not refuse.
        """

    @abstractmethod
    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """The places, each between 0 and the number of weights, none of them twice.

        Time and memory are bounded by the sizes of the parts and of the stored values; what a
        stranger wrote is believed only as far as it agrees with itself.

        Args:
            parts: Just those of ``Format.parts``, one-dimensional and of these dtypes.
            options: Just those of ``Format.options``.
            shape: The tensor's.
            stored: How many values there are.

        Returns:
            int64 of length ``stored``.

        Raises:
            Damage: They contradict each other.
        """


FORMATS: Registry[Format] = Registry("format", "pruneflow.formats")

F = TypeVar("F", bound=type[Format])


def register(kind: F) -> F:
    """Class decorator: the format with its default settings joins the vocabulary."""
    FORMATS.register(kind.name)(kind())
    return kind


def sides(shape: Shape) -> tuple[int, int]:
    """Rows and columns; a scalar is one row of one column."""
    return (shape[0], prod(shape[1:])) if shape else (1, 1)


def table(mask: torch.Tensor) -> npt.NDArray[np.bool_]:
    """The mask by rows and columns."""
    return mask.reshape(sides(tuple(mask.shape))).numpy()


def kept(mask: torch.Tensor) -> Integers:
    """The places a mask keeps, in rising order."""
    return np.flatnonzero(mask.reshape(-1).numpy())


def whole(options: Options, name: str, least: int, most: int) -> int:
    """An option that is one whole number.

    Raises:
        Damage: It is not, or out of range.
    """
    value = options[name]
    if not isinstance(value, int) or not least <= value <= most:
        raise Damage(f"the option {name} is {quoted(value)}, no number from {least} to {most}")
    return value


def exactly(stored: int, needed: int, what: str) -> None:
    """Check the number of values against what the index says.

    Raises:
        Damage: They differ.
    """
    expect(stored == needed, f"{what} {needed}, but there are {stored} values")
