"""ResNet-20 for small images (He et al. 2016, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pruneflow.zoo.classifier import MODELS, Classifier


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, added, then rectified.

    Args:
        before: Channels of its input.
        after: Channels of its output.
        stride: Of the first convolution.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if before != after:
            projection = nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=projection, norm=nn.BatchNorm2d(after)))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (n, after, height / stride, width / stride) of maps (n, before, height, width)."""
        inner = F.relu(self.norm1(self.conv1(maps)))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(maps))


@MODELS.register("resnet20")
class ResNet20(Classifier):
    """Three stages of three blocks with 16, 32 and 64 channels; 272,474 parameters for CIFAR-10.

    Shortcuts between stages are 1 x 1 projections, option B of the paper, which make 2,752 of
    them: the paper's own option A pads with zero channels, and ``pruneflow deploy`` knows no such
    operation.
    """

    def __init__(self, optimizer: Mapping[str, Any], classes: int = 10, channels: int = 1) -> None:
        super().__init__(optimizer, classes, channels)
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(16)
        self.stage1 = _stage(16, 16, stride=1)
        self.stage2 = _stage(16, 32, stride=2)
        self.stage3 = _stage(32, 64, stride=2)
        self.fc = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, channels, height, width)."""
        maps = F.relu(self.norm1(self.conv1(images)))
        maps = self.stage3(self.stage2(self.stage1(maps)))
        return self.fc(F.adaptive_avg_pool2d(maps, 1).flatten(1))  # type: ignore[no-any-return]


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    later = [BasicBlock(after, after, 1) for _ in range(2)]
    return nn.Sequential(BasicBlock(before, after, stride), *later)
