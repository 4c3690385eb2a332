"""A small vision transformer (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pruneflow.zoo.classifier import MODELS, Classifier, require_whole


class EncoderBlock(nn.Module):
    """Attention, then a perceptron; each normalizes its input and is added to it.

    Args:
        width: Numbers of a token.
        heads: Of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width)
        self.fc2 = nn.Linear(2 * width, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (n, tokens, width) of as many."""
        tokens = tokens + self._attention(self.norm1(tokens))
        return tokens + self.fc2(F.gelu(self.fc1(self.norm2(tokens))))  # type: ignore[no-any-return]

    def _attention(self, tokens: torch.Tensor) -> torch.Tensor:
        n, count, width = tokens.shape
        split = self.qkv(tokens).view(n, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(n, count, width))  # type: ignore[no-any-return]


@MODELS.register("vit")
class VisionTransformer(Classifier):
    """Patches, blocks of attention, and the mean of all tokens; 138,890 parameters for MNIST.

    Every weight but the positions' is of a Linear or a Conv2d layer. Like most transformers it
    hardly learns with plain SGD: write ``optimizer=adamw``.

    Args:
        optimizer: See base class.
        classes: See base class.
        channels: See base class.
        size: See base class.
        patch: Height and width of a patch, in pixels; divides ``size``.
        width: Numbers of a token.
        depth: Number of blocks.
        heads: Of every attention; divides ``width``.
    """

    def __init__(
        self,
        optimizer: Mapping[str, Any],
        classes: int = 10,
        channels: int = 1,
        size: int = 28,
        patch: int = 4,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
    ) -> None:
        super().__init__(optimizer, classes, channels, size)
        for name, number in [
            ("patch", patch),
            ("width", width),
            ("depth", depth),
            ("heads", heads),
        ]:
            require_whole(name, number)
        if size % patch:
            raise ValueError(f"patch={patch} does not divide images of {size} x {size} pixels")
        if width % heads:
            raise ValueError(f"heads={heads} does not divide width={width}")
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.empty(1, (size // patch) ** 2, width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, channels, size, size)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(1))  # type: ignore[no-any-return]
