"""``csr16``: compressed sparse rows, with the columns in 16 bits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from pruneflow.deploy.bundles.damage import expect
from pruneflow.deploy.formats.base import (
    Format,
    Index,
    Options,
    Parts,
    Shape,
    kept,
    register,
    sides,
)
from pruneflow.deploy.formats.offsets import read_offsets, rising_within, write_offsets

_WIDEST = 1 << 16


@register
class Csr16(Format):
    """What a kernel computes with, as it is; for up to 65536 columns."""

    name = "csr16"
    parts: ClassVar = {"columns": torch.uint16, "offsets": torch.uint32}

    def refuses(self, mask: torch.Tensor) -> str | None:
        """See base class."""
        width = sides(tuple(mask.shape))[1]
        return f"it has {width} columns, more than {_WIDEST}" if width > _WIDEST else None

    def encode(self, mask: torch.Tensor) -> Index:
        """See base class."""
        places = kept(mask)
        height, width = sides(tuple(mask.shape))
        rows, columns = np.divmod(places, max(width, 1))
        parts = {
            "columns": torch.from_numpy(columns.astype(np.uint16)),
            "offsets": write_offsets(rows, height),
        }
        return Index(parts, {}, torch.from_numpy(places))

    def decode(self, parts: Parts, options: Options, shape: Shape, stored: int) -> torch.Tensor:
        """See base class."""
        height, width = sides(shape)
        columns = parts["columns"].numpy().astype(np.int64)
        counts = read_offsets(parts["offsets"], height, stored)
        expect(len(columns) == stored, f"there are {len(columns)} columns for {stored} values")
        rows = np.repeat(np.arange(height), counts)
        expect(not (columns >= width).any(), f"a column is not below {width}")
        expect(rising_within(rows, columns), "the columns of a row do not rise")
        return torch.from_numpy(rows * width + columns)
