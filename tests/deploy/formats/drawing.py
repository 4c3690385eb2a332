"""Pruned weights of all kinds, for the laws of layouts and bundles."""

from __future__ import annotations

from math import prod

import torch
from hypothesis import strategies as st

SHAPES = [
    (), (0,), (1,), (0, 5), (5, 0), (3, 0, 2), (1, 1), (7, 13), (16, 16), (17, 33), (1, 600),
    (600, 1), (4, 3, 3, 3), (2, 5, 7, 1), (3, 1030),
]  # fmt: skip
DENSITIES = [0.0, 0.004, 0.05, 0.3, 0.9, 1.0]


def shapes() -> st.SearchStrategy[tuple[int, ...]]:
    """Empty, scalar, prime, long, wide and four-dimensional ones."""
    sides = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(tuple)
    return st.sampled_from(SHAPES) | sides


def thin(mask: torch.Tensor, residues: tuple[int, int]) -> torch.Tensor:
    """At most two weights in any four neighbours."""
    remainder = (torch.arange(mask.numel()) % 4).reshape(mask.shape)
    return mask & ((remainder == residues[0]) | (remainder == residues[1]))


@st.composite
def masks(draw: st.DrawFn) -> torch.Tensor:
    """From nothing kept to all; at random, in a run, or thin enough for 2:4."""
    shape = draw(shapes())
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    density = draw(st.sampled_from(DENSITIES))
    kind = draw(st.sampled_from(["random", "run", "thin"]))
    if kind == "run":
        start = draw(st.floats(0, 1))
        position = torch.arange(prod(shape)) / max(prod(shape), 1)
        return ((position >= start) & (position < start + density)).reshape(shape)
    mask = torch.rand(shape, generator=generator) < density
    residues = draw(st.sampled_from([(0, 1), (0, 2), (1, 3), (2, 3)]))
    return thin(mask, residues) if kind == "thin" else mask


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Finite numbers of a dtype, among them both zeros, tiny and huge ones."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    numbers = torch.randn(shape, generator=generator, dtype=torch.float64)
    info = torch.finfo(dtype)
    special = torch.tensor([0.0, -0.0, info.tiny, -info.tiny / 4, info.max, info.min, 1.0])
    choice = torch.randint(0, 30, shape, generator=generator)
    return numbers.to(dtype).where(choice >= len(special), special.to(dtype)[choice % len(special)])


@st.composite
def pruned(
    draw: st.DrawFn, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight and its mask."""
    mask = draw(masks())
    return draw(weights(tuple(mask.shape), dtype)), mask


def bits(tensor: torch.Tensor) -> bytes:
    """Its bytes, in which +0.0 is not -0.0."""
    row = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.reshape(-1))
    return row.view(torch.uint8).numpy().tobytes()


def product(weight: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """``weight * mask`` in float32, all zeros +0.0."""
    return weight.float().where(mask, 0.0) + 0.0
