"""Networks for 28 x 28 images as LightningModules whose layers carry plain names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torchmetrics.classification import MulticlassAccuracy

from pruneflow.registry import Registry

MODELS: Registry[type[Classifier]] = Registry("model", "pruneflow.models")

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
SCHEDULERS = ("none", "cosine", "step")


class Classifier(LightningModule):
    """Cross-entropy training of ``forward``, and its accuracy.

    Args:
        optimizer: ``{name: sgd, lr: 0.1, scheduler: none, ...}``; further entries go to the
            optimizer.
        classes: Number of classes.
    """

    def __init__(self, optimizer: Mapping[str, Any], classes: int = 10) -> None:
        super().__init__()
        self.optimizer_settings = dict(optimizer)
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        """See base class."""
        images, labels = batch
        loss = F.cross_entropy(self(images), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        """See base class."""
        images, labels = batch
        logits = self(images)
        self.val_accuracy(logits, labels)
        self.log("val_loss", F.cross_entropy(logits, labels), batch_size=len(labels))
        self.log("val_accuracy", self.val_accuracy, prog_bar=True, batch_size=len(labels))

    def test_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        """See base class."""
        images, labels = batch
        self.test_accuracy(self(images), labels)
        self.log("test_accuracy", self.test_accuracy, batch_size=len(labels))

    def configure_optimizers(self) -> Any:
        """See base class."""
        settings = self.optimizer_settings
        optimizer = make_optimizer(settings, self.parameters())
        scheduler = settings.get("scheduler", "none")
        if scheduler == "none":
            return optimizer
        if scheduler == "cosine":
            steps = int(self.trainer.estimated_stepping_batches)
            cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(steps, 1))
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": cosine, "interval": "step"},
            }
        size, gamma = settings.get("step_size", 10), settings.get("gamma", 0.1)
        stairs = lr_scheduler.StepLR(optimizer, size, gamma)
        return {"optimizer": optimizer, "lr_scheduler": stairs}


def make_optimizer(
    settings: Mapping[str, Any], parameters: Iterable[torch.Tensor]
) -> torch.optim.Optimizer:
    """The optimizer that settings name; whatever is not about a scheduler goes to it.

    Raises:
        TypeError: It does not take them.
        ValueError: One of them is out of range.
    """
    of_scheduler = ("name", "scheduler", "step_size", "gamma")
    own = {key: value for key, value in settings.items() if key not in of_scheduler}
    return OPTIMIZERS[settings["name"]](parameters, **own)


@MODELS.register("lenet_300_100")
class LeNet300100(Classifier):
    """784-300-100-10 perceptron; 266,200 weights (LeCun et al. 1998)."""

    def __init__(self, optimizer: Mapping[str, Any], classes: int = 10) -> None:
        super().__init__(optimizer, classes)
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, 1, 28, 28)."""
        hidden = F.relu(self.fc1(images.flatten(1)))
        return self.fc3(F.relu(self.fc2(hidden)))  # type: ignore[no-any-return]


@MODELS.register("lenet5")
class LeNet5(Classifier):
    """Caffe's LeNet-5, the one of the pruning literature; 430,500 weights (Han et al. 2015)."""

    def __init__(self, optimizer: Mapping[str, Any], classes: int = 10) -> None:
        super().__init__(optimizer, classes)
        self.conv1 = nn.Conv2d(1, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of images (n, 1, 28, 28)."""
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        maps = F.max_pool2d(F.relu(self.conv2(maps)), 2)
        return self.fc2(F.relu(self.fc1(maps.flatten(1))))  # type: ignore[no-any-return]
