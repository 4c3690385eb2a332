"""MobileNet v1, narrow and shallow, for small images (Howard et al. 2017, arXiv:1704.04861)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pruneflow.zoo.classifier import MODELS, Classifier

BLOCKS = ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1))
"""Channels and stride of every block."""


class SeparableBlock(nn.Module):
    """A convolution a channel, then one of 1 x 1 over all channels.

    Args:
        before: Channels of its input.
        after: Channels of its output.
        stride: Of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
        self.norm1 = nn.BatchNorm2d(before)
        self.pointwise = nn.Conv2d(before, after, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (n, after, height / stride, width / stride) of maps (n, before, height, width)."""
        maps = F.relu(self.norm1(self.depthwise(maps)))
        return F.relu(self.norm2(self.pointwise(maps)))


@MODELS.register("mobilenet")
class MobileNet(Classifier):
    """Seven separable blocks from 16 to 256 channels; 141,994 parameters for CIFAR-10.

    Half as wide as the paper's, without its long middle, and without stride in the first layer,
    for images of about 28 or 32 pixels.
    """

    def __init__(self, optimizer: Mapping[str, Any], classes: int = 10, channels: int = 1) -> None:
        super().__init__(optimizer, classes, channels)
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        widths = (16, *(width for width, _ in BLOCKS))
        self.blocks = nn.Sequential(
            *(SeparableBlock(b, a, s) for b, (a, s) in zip(widths, BLOCKS, strict=False))
        )
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        maps = self.blocks(F.relu(self.norm1(self.conv1(images))))
        return self.fc(F.adaptive_avg_pool2d(maps, 1).flatten(1))  # type: ignore[no-any-return]
