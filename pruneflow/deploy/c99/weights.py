"""A layer's weights as arrays of C: which ones, in which order, of which types.

Rows are outputs. The columns of a linear layer are its inputs. Those of a convolution are ordered
by the places of its kernel, then by channels, so that consecutive weights shift their planes alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pruneflow.deploy.bundles.packing import Packed
from pruneflow.deploy.bundles.values import SCALE, VALUES
from pruneflow.deploy.formats import FORMATS
from pruneflow.deploy.formats.base import sides

LAYOUTS = ("dense", "csr16", "gaps8")
Array = npt.NDArray[np.generic]
Integers = npt.NDArray[np.int64]

_REACH = 256
"""One gap gets this many columns ahead at most."""
_FARTHEST = (1 << 16) - 1
"""What 16 bits can say."""


@dataclass(frozen=True)
class Coded:
    """A weight as it is written in the bundle.

    Attributes:
        codes: (rows, columns): float32, the bits of float16, or int8; 0 where nothing is kept.
        scales: (rows,), float32, of int8; or None.
        values: The codec.
    """

    codes: Array
    scales: npt.NDArray[np.float32] | None
    values: str


@dataclass(frozen=True)
class Stored:
    """A weight's arrays.

    Attributes:
        layout: One of ``LAYOUTS``.
        coded: Where they come from.
        entries: Values in their order; fillers are 0.
        index: Places (csr16) or gaps (gaps8); None of dense.
        counts: Entries of each row; None of dense.
    """

    layout: str
    coded: Coded
    entries: Array
    index: Array | None = None
    counts: Array | None = None

    @property
    def bytes(self) -> dict[str, int]:
        """Bytes of the ``values``, the ``index`` (counts included) and the ``scales``."""
        index = sum(part.nbytes for part in (self.index, self.counts) if part is not None)
        scales = 0 if self.coded.scales is None else self.coded.scales.nbytes
        return {"values": self.entries.nbytes, "index": index, "scales": scales}


def coded(packed: Packed) -> Coded:
    """A packed weight in the order of C's columns."""
    entry, parts = packed.entry, packed.parts
    height, width = sides(entry.shape)
    form = FORMATS[entry.format]
    index = {part: parts[part] for part in form.parts}
    places = form.decode(index, entry.options, entry.shape, len(parts[VALUES])).numpy()
    values = parts[VALUES]
    numbers = values.view(torch.uint16).numpy() if entry.values == "fp16" else values.numpy()
    codes = np.zeros(height * width, numbers.dtype)
    codes[places] = numbers
    table = codes.reshape(entry.shape)
    if table.ndim == 4:
        table = table.transpose(0, 2, 3, 1)
    scales = parts[SCALE].numpy() if SCALE in parts else None
    return Coded(np.ascontiguousarray(table).reshape(height, width), scales, entry.values)


def refuses(layout: str, places: Integers) -> bool:
    """Whether a layout cannot hold a weight whose columns are read at these places."""
    return layout == "csr16" and int(places.max(initial=0)) > _FARTHEST


def stored(weight: Coded, layout: str, places: Integers) -> Stored:
    """A weight in a layout that does not refuse it.

    Args:
        weight: What to store.
        layout: One of ``LAYOUTS``.
        places: How far from an output's first input the one of each column is, in numbers.
    """
    if layout == "dense":
        return Stored(layout, weight, weight.codes.reshape(-1))
    rows, columns = np.nonzero(weight.codes)
    if layout == "gaps8":
        rows, columns, gaps = _with_fillers(rows, columns)
        index: Array = gaps.astype(np.uint8)
    else:
        index = places[columns].astype(np.uint16)
    counts = np.bincount(rows, minlength=len(weight.codes))
    return Stored(layout, weight, weight.codes[rows, columns], index, _narrowest(counts))


def _with_fillers(rows: Integers, columns: Integers) -> tuple[Integers, Integers, Integers]:
    """Rows, columns and gaps of nonzeros, and of a zero at each 256th column of a longer gap."""
    is_first = np.diff(rows, prepend=-1) != 0
    steps = np.where(is_first, columns + 1, np.diff(columns, prepend=0))
    fillers = (steps - 1) // _REACH
    owner = np.repeat(np.arange(len(rows)), fillers + 1)
    after = np.cumsum(fillers + 1)[owner] - 1 - np.arange(len(owner))  # fillers still to come
    is_own = after == 0
    ordinal = fillers[owner] - after
    start = columns - steps + 1
    filled = np.where(is_own, columns[owner], start[owner] + _REACH * (ordinal + 1) - 1)
    gaps = np.where(is_own, steps[owner] - fillers[owner] * _REACH - 1, _REACH - 1)
    return rows[owner], filled, gaps


def _narrowest(counts: Integers) -> Array:
    most = counts.max(initial=0)
    kind = np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.uint32
    return counts.astype(kind)
