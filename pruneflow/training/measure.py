"""A recipe that is watched: accuracy before and after pruning, and validation along the way."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torchmetrics.classification import MulticlassAccuracy

from pruneflow.callback import RecipeCallback
from pruneflow.lightning_trainer import undeclared
from pruneflow.modifiers.events import Event
from pruneflow.operations import ranks
from pruneflow.zoo.models import Classifier


class MeasuredRecipe(RecipeCallback):
    """Measures test accuracy right before every pruning, and right after the last one.

    Right before a pruning the network is as good as a round has made it; validation, which
    follows the events of an epoch's end, sees it pruned and rewound. Before the first update that
    is measured only where the network comes trained. Test data is only ever reported on.
    Modules of a person's own are not measured here: what they log in ``test_step`` is.

    Attributes:
        comes_trained: Whether the network begins with weights that were trained before.
    """

    comes_trained = False
    accuracy: dict[str, float | None]
    rounds: list[dict[str, float | None]]
    history: list[dict[str, float]]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See base class."""
        if self._restored is None:
            self.accuracy, self.history, self.rounds = {"dense": None, "pruned": None}, [], []
        super().on_fit_start(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """See base class."""
        state = super().state_dict()
        ours = {"accuracy": self.accuracy, "history": self.history, "rounds": self.rounds}
        return {**state, **ours} if state else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See base class."""
        super().load_state_dict(state_dict)
        self.accuracy, self.history = state_dict["accuracy"], state_dict["history"]
        self.rounds = state_dict["rounds"]

    def fire_due(self, trainer: Trainer, pl_module: LightningModule, step: int) -> list[Event]:
        """See base class."""
        assert self.plan is not None
        prunings = [event.step for event in self.plan.events if event.action == "prune"]
        is_trained = step > 0 or self.comes_trained
        if step in prunings and is_trained:
            self.note_round(step, accuracy(trainer, pl_module))
            if step == prunings[0]:
                self.accuracy["dense"] = self.rounds[-1]["test_accuracy"]
        events = super().fire_due(trainer, pl_module, step)
        if prunings and step == prunings[-1] and is_trained:
            self.accuracy["pruned"] = accuracy(trainer, pl_module)
        return events

    def note_round(self, step: int, score: float | None) -> None:
        """Keep how good the network is at the end of a round of training."""
        assert self.engine is not None
        left = {"sparsity": self.engine.sparsity, "nonzeros": self.engine.nonzeros}
        self.rounds.append({"step": step, **left, "test_accuracy": score})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what validation found."""
        if self.engine is not None and not trainer.sanity_checking:
            metrics = {
                name: float(value)
                for name, value in trainer.callback_metrics.items()
                if name.startswith("val") and value.numel() == 1
            }
            self.history.append({"step": self.clock, "sparsity": self.engine.sparsity, **metrics})


def has_test_data(data: LightningDataModule) -> bool:
    """Whether a data module says what to test on."""
    return type(data).test_dataloader is not LightningDataModule.test_dataloader


def accuracy(trainer: Trainer, module: LightningModule) -> float | None:
    """Share of test images classified right; None without any, or where it classifies nothing."""
    data = undeclared(trainer).datamodule
    if not isinstance(module, Classifier) or not has_test_data(data):
        return None
    ranks.share_buffers(module)
    metric = MulticlassAccuracy(module.test_accuracy.num_classes, average="micro")
    weight = next(module.parameters())
    where = trainer.strategy.root_device  # where processes can add up what each has counted
    metric = metric.to(where)
    training = module.training
    module.eval()
    with torch.no_grad():
        for images, labels in data.test_dataloader():
            scores = module(images.to(weight.device, weight.dtype))
            metric(scores.to(where), labels.to(where))
    module.train(training)
    return float(metric.compute())
