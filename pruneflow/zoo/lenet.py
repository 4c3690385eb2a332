"""LeNets, the networks that pruning papers begin with (LeCun et al. 1998)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pruneflow.zoo.classifier import MODELS, Classifier


@MODELS.register("lenet_300_100")
class LeNet300100(Classifier):
    """784-300-100-10 perceptron; 266,200 weights (LeCun et al. 1998)."""

    def __init__(
        self, optimizer: Mapping[str, Any], classes: int = 10, channels: int = 1, size: int = 28
    ) -> None:
        super().__init__(optimizer, classes, channels, size)
        self.fc1 = nn.Linear(channels * size * size, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, channels, size, size)."""
        hidden = F.relu(self.fc1(images.flatten(1)))
        return self.fc3(F.relu(self.fc2(hidden)))  # type: ignore[no-any-return]


@MODELS.register("lenet5")
class LeNet5(Classifier):
    """Caffe's LeNet-5, the one of the pruning literature; 430,500 weights (Han et al. 2015)."""

    def __init__(
        self, optimizer: Mapping[str, Any], classes: int = 10, channels: int = 1, size: int = 28
    ) -> None:
        super().__init__(optimizer, classes, channels, size)
        side = ((size - 4) // 2 - 4) // 2
        if side < 1:
            raise ValueError(f"size={size}: LeNet-5 needs images of at least 16 x 16 pixels")
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(50 * side * side, 500)
        self.fc2 = nn.Linear(500, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, channels, size, size)."""
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        maps = F.max_pool2d(F.relu(self.conv2(maps)), 2)
        return self.fc2(F.relu(self.fc1(maps.flatten(1))))  # type: ignore[no-any-return]
