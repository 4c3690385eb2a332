"""``nm``: of each M weights side by side at most N are kept, and their places within the M.

The numbers of NVIDIA's 2:4 (Mishra et al. 2021, arXiv:2104.08378), and any other for which it is
smaller than the dense weight. The last group of a row may be shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch.nn import functional as F

from pruneflow.deploy.kernels import splits
from pruneflow.deploy.kernels.base import (
    KERNELS,
    Activation,
    Config,
    Kernel,
    Packed,
    Window,
    split,
)
from pruneflow.deploy.kernels.language import cdiv
from pruneflow.deploy.kernels.launch import Argument, Launch
from pruneflow.deploy.kernels.nm_gemv import nm_gemv
from pruneflow.deploy.kernels.nm_product import nm_product

MOST = 8
"""Weights kept of a group: the kernels' code grows with them."""

WIDTHS = {4: 2, 8: 4, 16: 4, 32: 8}
"""Bits of a place within groups of so many: eight of them are a whole number to read at once."""

WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""What holds eight places of so many bits."""

GEMV = ((4, 256, 4), (2, 512, 4), (16, 64, 4), (2, 256, 2), (4, 512, 8))
"""Rows, groups and warps: 8 values for each thread, so that it reads whole words."""

PROGRAMS = 264
"""Worth running at a time on tensor cores: two for each multiprocessor of an H100."""


class Nm(Kernel):
    """Parts: places and values; numbers: N and M.

    Values are (out, N, groups), each row's groups filled up to blocks of 64 that lie as the
    transpose of their 8 x 8: a lane reads 8 values at once, and gathers beside its neighbours.
    Places are (out, N, groups / 8), 8 in a word.
    """

    name: ClassVar[str] = "nm"

    def refuses(self, weight: torch.Tensor) -> str | None:
        """See base class."""
        if _smallest(weight) is None:
            return f"no N:M with N up to {MOST} holds it in fewer bytes"
        return None

    def pack(self, weight: torch.Tensor) -> Packed:
        """See base class."""
        found = _smallest(weight)
        assert found is not None, "a weight that is refused"
        kept, group = found
        rows, columns = weight.shape
        groups = cdiv(columns, group * 64) * 64
        tiles = F.pad(weight, (0, groups * group - columns)).view(rows, groups, group)
        is_first = (tiles != 0).to(torch.int8).argsort(dim=-1, descending=True, stable=True)
        places = is_first[..., :kept]
        values = tiles.gather(-1, places)
        places = places.masked_fill(values == 0, 0)
        values = values.masked_fill(values == 0, 0)  # of -0.0 the kernels would use the bit
        words = _laid_out(places).view(rows, kept, groups // 8, 8)
        width = WIDTHS[group]
        word = (words << torch.arange(8) * width).sum(-1).to(WORDS[width])
        parts = (word.contiguous(), _laid_out(values).contiguous())
        return Packed(self.name, (rows, columns), parts, (kept, group))

    def unpack(self, packed: Packed) -> torch.Tensor:
        """See base class."""
        words, values = packed.parts
        kept, group = packed.numbers
        rows, columns = packed.shape
        width, groups = WIDTHS[group], values.shape[2]
        shifts = torch.arange(8, device=words.device) * width
        places = (words.long()[..., None] >> shifts) & (group - 1)
        places = _in_order(places.view(rows, kept, groups))
        values = _in_order(values)
        weight = values.new_zeros(rows, groups, group)
        for n in range(kept):  # places of nothing are 0, and must not overwrite
            value, place = values[..., n : n + 1], places[..., n : n + 1]
            weight.scatter_(2, place, torch.where(value != 0, value, weight.gather(2, place)))
        return weight.view(rows, groups * group)[:, :columns].contiguous()

    def configs(self, packed: Packed, batch: int) -> Sequence[Config]:
        """See base class."""
        gemv = [_gemv(*sizes) for sizes in GEMV]
        if batch == 1:
            return gemv
        run = max(8, 128 // packed.numbers[1])
        block = next((size for size in (16, 32, 64) if batch <= size), 64)
        programs = cdiv(packed.shape[0], 64) * cdiv(batch, block)
        parts = min(8, cdiv(PROGRAMS, programs), packed.parts[1].shape[2] // (4 * run))
        parts = 1 << (max(1, parts).bit_length() - 1)
        product = [
            _product(64, run, block, 4, 3, parts), _product(64, run, block, 4, 2, parts),
            _product(32, run, block, 4, 4, parts), _product(128, run, block, 8, 3, parts),
        ]  # fmt: skip
        if packed.parts[1].element_size() == 4:  # 64 rows of float32 do not fit into registers
            product = product[2:3]
        if parts > 1:
            product.append(_product(32, run, block, 4, 4, 1))
        return [*product, *gemv[:2]] if batch <= 8 else product

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
        """See base class."""
        tiles, warps, stages = split(config)
        words, values = packed.parts
        kept, group = packed.numbers
        rows, columns = packed.shape
        arguments: dict[str, Argument] = {
            "x_ptr": x, "indices_ptr": words, "values_ptr": values, "bias_ptr": bias, "y_ptr": y,
            "batch": len(x), "rows": rows, "room": values.shape[2], "y_row": y.stride(0),
            "x_row": x.stride(0), "x_column": x.stride(1),
        }  # fmt: skip
        constants = tiles | activation.constants
        constants |= {"KEPT": kept, "GROUP": group, "WIDTH": WIDTHS[group]}
        programs = cdiv(rows, tiles["BLOCK_ROWS"])
        if "BLOCK_BATCH" in tiles:
            parts = splits.room(tiles["SPLIT"], y)
            arguments |= {"columns": columns, "y_ptr": parts}
            if parts is not y:
                arguments["bias_ptr"] = None
                constants |= Activation().constants
            grid = (cdiv(len(x), tiles["BLOCK_BATCH"]) * programs, tiles["SPLIT"])
            product = Launch(nm_product, grid, arguments, constants, warps, stages)
            return [product, *splits.sums(parts, bias, activation, y)]
        arguments["groups"] = cdiv(columns, group)
        whole = columns % (tiles["BLOCK_GROUPS"] * group) == 0
        constants["EVEN"] = whole and rows % tiles["BLOCK_ROWS"] == 0
        return [Launch(nm_gemv, (len(x) * programs,), arguments, constants, warps, stages)]


def _smallest(weight: torch.Tensor) -> tuple[int, int] | None:
    """The N and M that take the fewest bytes, if they are fewer than the dense weight's."""
    best, least = None, float(weight.element_size())
    for group, width in WIDTHS.items():
        mask = F.pad(weight != 0, (0, -weight.shape[1] % group))
        kept = max(1, int(mask.view(len(weight), -1, group).sum(-1).max()))
        size = kept / group * (weight.element_size() + width / 8)
        if kept <= MOST and size < least:
            best, least = (kept, group), size
    return best


def _laid_out(tiles: torch.Tensor) -> torch.Tensor:
    """(rows, groups, N) to (rows, N, groups), blocks of 8 x 8 groups transposed."""
    rows, groups, kept = tiles.shape
    blocks = tiles.transpose(1, 2).reshape(rows, kept, groups // 64, 8, 8)
    return blocks.transpose(3, 4).reshape(rows, kept, groups)


def _in_order(laid_out: torch.Tensor) -> torch.Tensor:
    """The other way."""
    rows, kept, groups = laid_out.shape
    blocks = laid_out.view(rows, kept, groups // 64, 8, 8)
    return blocks.transpose(3, 4).reshape(rows, kept, groups).transpose(1, 2)


def _gemv(rows: int, groups: int, warps: int) -> Config:
    return {"BLOCK_ROWS": rows, "BLOCK_GROUPS": groups, "num_warps": warps, "num_stages": 1}


def _product(rows: int, groups: int, batch: int, warps: int, stages: int, parts: int) -> Config:
    return {
        "BLOCK_ROWS": rows, "BLOCK_GROUPS": groups, "BLOCK_BATCH": batch, "SPLIT": parts,
        "num_warps": warps, "num_stages": stages,
    }  # fmt: skip


KERNELS.register(Nm.name)(Nm())
