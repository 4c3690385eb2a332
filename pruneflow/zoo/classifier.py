"""What every model of the zoo is: a classifier of images that trains itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch.nn import functional as F
from torch.optim import lr_scheduler
from torchmetrics.classification import MulticlassAccuracy

from pruneflow.errors import ConfigError
from pruneflow.registry import Registry

MODELS: Registry[type[Classifier]] = Registry("model", "pruneflow.models")

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
SCHEDULERS = ("none", "cosine", "step")
TIMELESS = ("none", "step")
"""Those of them that do not look at how long the run is."""


class Classifier(LightningModule):
    """Cross-entropy training of ``forward``, and its accuracy.

    A model takes those of ``classes``, ``channels`` and ``size`` that it depends on. A registered
    data set says what they are; for other data they are arguments like any other.

    Args:
        optimizer: ``{name: sgd, lr: 0.1, scheduler: none, ...}``; further entries go to the
            optimizer.
        classes: Number of classes.
        channels: Of an image; None: whatever ``forward`` takes.
        size: Height and width of an image, in pixels; None: whatever ``forward`` takes.

    Raises:
        ValueError: One of the numbers is none.
    """

    def __init__(
        self,
        optimizer: Mapping[str, Any],
        classes: int = 10,
        channels: int | None = None,
        size: int | None = None,
    ) -> None:
        super().__init__()
        require_whole("classes", classes, least=2)
        for name, number in (("channels", channels), ("size", size)):
            if number is not None:
                require_whole(name, number)
        self.optimizer_settings = dict(optimizer)
        self.classes, self.channels, self.size = classes, channels, size
        self.val_accuracy = MulticlassAccuracy(classes, average="micro")
        self.test_accuracy = MulticlassAccuracy(classes, average="micro")

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        """See base class."""
        images, labels = batch
        if index == 0:
            self._require_fit(images, labels)
        loss = F.cross_entropy(self(images), labels)
        size = len(labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
        """See base class."""
        images, labels = batch
        logits = self(images)
        self.val_accuracy(logits, labels)
        loss = F.cross_entropy(logits, labels)
        self.log("val_loss", loss, batch_size=len(labels), sync_dist=True)
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

    def _require_fit(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Refuse data of another shape than the model was built for, in words that help."""
        given = {"classes": max(int(labels.max()) + 1, self.classes)}
        if images.dim() == 4:
            given |= {"channels": images.shape[1], "size": images.shape[2]}
        for name, number in given.items():
            own = getattr(self, name)
            if own not in (None, number):
                raise ConfigError(
                    f"the model was built for {name}={own}, and the data has {number}: "
                    f"write +model.args.{name}={number}"
                )


def require_whole(name: str, value: object, least: int = 1) -> None:
    """Refuse what is no whole number, or too small a one.

    Raises:
        ValueError: With the argument's name.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}={value}: needs a whole number from {least}")


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
