"""What is measured, the most important first: layers and whole networks, pruned at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch

BATCHES = (1, 4, 16, 64, 256, 2048)
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
SHAPES = ("4096x4096", "4096x11008", "1024x1024", "8192x28672")
"""Rows x columns of a weight: out x in."""

HUGE, SQUARE = "8192x28672", "4096x4096"
NETWORKS = ("LeNet-300-100", "LeNet-5", "MLP 784-1024-1024-10")
NETWORK_BATCHES = (1, 16, 64, 256)

RANDOM, BLOCKS, SEMI = "unstructured", "blocks 64x64", "2:4"
SIDE = 64

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Case:
    """One cell of the benchmark.

    Attributes:
        kind: A single linear layer, or a network end to end.
        name: The layer's rows x columns, or the network's name.
        mask: Which weights are left.
        sparsity: The share of weights that are not; of blocks, the share of blocks.
        batch: Rows of inputs.
        dtype: Of weights, inputs and outputs: a name of ``DTYPES``.
    """

    kind: Literal["layer", "network"]
    name: str
    mask: str
    sparsity: float
    batch: int
    dtype: str = "bf16"

    @property
    def title(self) -> str:
        """What it is called in results; no two are called alike."""
        return f"{self.name} {self.mask} {self.sparsity:.0%} {self.dtype} batch {self.batch}"

    @property
    def shape(self) -> tuple[int, int]:
        """Of a layer's weight: (out, in)."""
        rows, columns = map(int, self.name.split("x"))
        return rows, columns


def layer(name: str, mask: str, sparsity: float, batch: int, dtype: str = "bf16") -> Case:
    """A linear layer."""
    return Case("layer", name, mask, sparsity, batch, dtype)


def network(name: str, sparsity: float, batch: int) -> Case:
    """A network, pruned at random, the same share of each layer."""
    return Case("network", name, RANDOM, sparsity, batch)


def every() -> list[Case]:
    """All cells: those with a goal, then networks, then layers; each once."""
    return list(dict.fromkeys([*with_goals(), *_networks(), *_other_dtypes(), *_layers()]))


def with_goals() -> Iterator[Case]:
    """The cells that a goal is about."""
    for sparsity in (0.9, 0.8):
        yield layer(HUGE, RANDOM, sparsity, 1)
    for batch in (1, 16):
        yield layer(HUGE, RANDOM, 0.95, batch)
    for sparsity in (0.8, 0.9, 0.95):
        yield layer(SQUARE, RANDOM, sparsity, 1)
    for shape in (HUGE, SQUARE):
        for batch in (16, 256, 2048):
            yield layer(shape, BLOCKS, 0.9, batch)
    for name in NETWORKS[:2]:
        yield network(name, 0.9, 1)
    for shape in (HUGE, SQUARE):
        yield layer(shape, SEMI, 0.5, 1)


def rehearsal() -> list[Case]:
    """Cells that Triton's interpreter is quick with; one of each kind."""
    return [
        layer("16x32", RANDOM, 0.9, 1),
        layer("64x128", BLOCKS, 0.5, 2),
        layer("16x32", SEMI, 0.5, 2),
        Case("network", "tiny MLP", RANDOM, 0.9, 1, "fp32"),
        Case("network", "tiny convnet", RANDOM, 0.9, 2, "fp32"),
        layer("16x32", RANDOM, 0.9, 2, "fp32"),
    ]


def _networks() -> Iterator[Case]:
    for name in NETWORKS:
        for batch in NETWORK_BATCHES:
            for sparsity in SPARSITIES:
                yield network(name, sparsity, batch)


def _other_dtypes() -> Iterator[Case]:
    for dtype in ("fp16", "fp32"):
        yield layer(SQUARE, RANDOM, 0.9, 1, dtype)
        yield layer(SQUARE, BLOCKS, 0.9, 256, dtype)


def _layers() -> Iterator[Case]:
    for shape in SHAPES:
        for sparsity in (0.9, 0.95, 0.8, 0.98, 0.5):
            for mask in (RANDOM, BLOCKS, SEMI):
                if mask != SEMI or sparsity == 0.5:
                    for batch in BATCHES:
                        yield layer(shape, mask, sparsity, batch)


def pruned(case: Case, device: str) -> torch.Tensor:
    """A layer's weight (out, in), normally distributed where the mask has left something."""
    generator = torch.Generator(device).manual_seed(0)
    rows, columns = case.shape
    keep = mask(case.mask, case.shape, 1 - case.sparsity, generator)
    dtype = DTYPES[case.dtype]
    weight = torch.randn(rows, columns, generator=generator, device=device, dtype=dtype)
    return weight.masked_fill_(~keep, 0)


def mask(
    kind: str, shape: tuple[int, int], density: float, generator: torch.Generator
) -> torch.Tensor:
    """What is left of a weight (out, in)."""
    rows, columns = shape
    device = generator.device
    if kind == RANDOM:
        return torch.rand(shape, generator=generator, device=device) < density
    if kind == BLOCKS:
        tiles = torch.rand(rows // SIDE, columns // SIDE, generator=generator, device=device)
        rank = tiles.flatten().argsort().argsort().view_as(tiles)
        kept = rank < max(1, round(density * tiles.numel()))
        return kept.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
    groups = torch.rand(rows, columns // 4, 4, generator=generator, device=device)
    return (groups.argsort(-1).argsort(-1) < 2).view(rows, columns)
