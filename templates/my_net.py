"""A network of your own: any LightningModule will do."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F


class Net(pl.LightningModule):
    """A small classifier of grey images of 28 x 28 pixels."""

    def __init__(self, width: int = 100, lr: float = 0.1) -> None:
        super().__init__()
        self.fc1 = nn.Linear(28 * 28, width)
        self.fc2 = nn.Linear(width, 10)
        self.lr = lr

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.relu(self.fc1(images.flatten(1))))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.log("val_accuracy", self.accuracy(batch))

    def test_step(self, batch: list[torch.Tensor], index: int) -> None:
        self.log("test_accuracy", self.accuracy(batch))  # the accuracy in the results

    def accuracy(self, batch: list[torch.Tensor]) -> torch.Tensor:
        images, labels = batch
        return (self(images).argmax(1) == labels).float().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.lr, momentum=0.9)
