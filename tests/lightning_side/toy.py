"""A network, its data and a trainer, small enough to be run hundreds of times.

Nothing here imports PruneFlow, so that a process in which it does not exist can use this too.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import Checkpoint
from torch import nn
from torch.optim import AdamW, Optimizer, lr_scheduler
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import Accuracy

torch.set_num_threads(1)  # as tests/conftest.py has it; here for processes of their own
FEATURES, CLASSES, SAMPLES, BATCH = 20, 4, 96, 8
STEPS = SAMPLES // BATCH  # in an epoch

LIGHTNING_NOISE = "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"
"""Lightning 2.6 with PyTorch 2.13, at every fit."""

FEW_WORKERS = "ignore:The '(train|val)_dataloader' does not have many workers"

GRADUAL = {
    "modifiers": {
        "prune": {"type": "prune", "start": "4st", "end": "20st", "every": "4st", "sparsity": 0.6}
    }
}
"""Five events, at steps 4 to 20."""

TICKETS = {
    "modifiers": {
        "imp": {"type": "iterative_prune", "rounds": 2, "every": "1ep", "rewind_to": "6st"}
    }
}
"""Keeps step 6, prunes and rewinds at steps 18 and 30, in the middle of epochs; ends at 42."""


def once(at: str = "4st", sparsity: float = 0.5) -> dict[str, Any]:
    """A recipe of one event."""
    return {"modifiers": {"prune": {"type": "prune", "start": at, "sparsity": sparsity}}}


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    """The same random data every time."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(SAMPLES, FEATURES, generator=generator),
        torch.randint(0, CLASSES, (SAMPLES,), generator=generator),
    )


class Batches:
    """Batches in an order that depends on the epoch alone; knows its position."""

    def __init__(self) -> None:
        self.x, self.y = samples()
        self.epoch = self.position = 0

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        if self.position >= STEPS:
            self.epoch, self.position = self.epoch + 1, 0
        order = torch.randperm(SAMPLES, generator=torch.Generator().manual_seed(self.epoch))
        while self.position < STEPS:
            at = order[self.position * BATCH : (self.position + 1) * BATCH]
            self.position += 1
            yield [self.x[at], self.y[at]]

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.epoch, self.position = state["epoch"], state["position"]


class Halves:
    """The validation set: the same samples in two batches."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[list[torch.Tensor]]:
        x, y = samples()
        return iter([[x[:48], y[:48]], [x[48:], y[48:]]])


def shuffled(**options: Any) -> DataLoader[Any]:
    """PyTorch's own loader, which does not know its position."""
    return DataLoader(TensorDataset(*samples()), BATCH, shuffle=True, **options)


SCHEDULERS: dict[str, Callable[[Optimizer], Any]] = {
    "none": lambda optimizer: optimizer,
    "step": lambda optimizer: {
        "optimizer": optimizer,
        "lr_scheduler": {
            "scheduler": lr_scheduler.ExponentialLR(optimizer, 0.98),
            "interval": "step",
        },
    },
    "epoch": lambda optimizer: {
        "optimizer": optimizer,
        "lr_scheduler": lr_scheduler.StepLR(optimizer, 1, 0.5),
    },
    "onecycle": lambda optimizer: {
        "optimizer": optimizer,
        "lr_scheduler": {
            "scheduler": lr_scheduler.OneCycleLR(optimizer, 2e-2, total_steps=20 * STEPS),
            "interval": "step",
        },
    },
    "plateau": lambda optimizer: _plateau(optimizer, "val_loss"),
    "plateau on training": lambda optimizer: _plateau(optimizer, "train_accuracy", "max"),
    "plateau on a constant": lambda optimizer: _plateau(optimizer, "one"),
    "plateau at every step": lambda optimizer: {
        "optimizer": optimizer,
        "lr_scheduler": {
            "scheduler": lr_scheduler.ReduceLROnPlateau(optimizer, "min", 0.9, patience=1),
            "monitor": "train_loss_step",
            "interval": "step",
        },
    },
}


def _plateau(optimizer: Optimizer, monitor: str, mode: str = "min") -> dict[str, Any]:
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode, 0.5, patience=0)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "monitor": monitor},
    }


class Toy(pl.LightningModule):
    """A perceptron with batch norm and dropout; it notes the rate of every update."""

    def __init__(self, scheduler: str = "none", lr: float = 1e-2) -> None:
        super().__init__()
        self.scheduler, self.lr = scheduler, lr
        self.rates: list[float] = []
        self.body = nn.Sequential(
            nn.Linear(FEATURES, 16),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(16, CLASSES),
        )
        self.accuracy = Accuracy("multiclass", num_classes=CLASSES)

    def loss(self, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        return F.cross_entropy(self.body(batch[0].to(self.dtype)), batch[1])

    def training_step(self, batch: Sequence[torch.Tensor], index: int) -> torch.Tensor:
        scores = self.body(batch[0].to(self.dtype))
        loss = F.cross_entropy(scores, batch[1])
        self.accuracy(scores.float(), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("train_accuracy", self.accuracy, on_step=False, on_epoch=True)
        for name in ("max", "min", "sum"):
            self.log(name, loss, on_step=False, on_epoch=True, reduce_fx=name)
        return loss

    def validation_step(self, batch: Sequence[torch.Tensor], index: int) -> None:
        self.log("val_loss", self.loss(batch))
        self.log("one", 1.0)
        self.log("age", float(self.current_epoch))

    def configure_optimizers(self) -> Any:
        optimizer = AdamW(self.parameters(), self.lr)
        optimizer.register_step_post_hook(lambda o, *_: self.rates.append(o.param_groups[0]["lr"]))
        return SCHEDULERS[self.scheduler](optimizer)


def other_toy() -> type[Any]:
    """``Toy`` for the package ``lightning``, which holds a copy of every class."""
    from lightning.pytorch import LightningModule

    body = {k: v for k, v in vars(Toy).items() if not k.startswith("__")}

    class Other(LightningModule):
        vars().update(body)

        def __init__(self, *options: Any) -> None:
            super().__init__()
            plain = Toy(*options)
            self.scheduler, self.lr, self.rates = plain.scheduler, plain.lr, plain.rates
            self.body, self.accuracy = plain.body, plain.accuracy

    return Other


def trainer(callbacks: Sequence[Any] = (), kind: Any = pl.Trainer, **options: Any) -> Any:
    """A quiet trainer on one CPU."""
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(c, Checkpoint) for c in callbacks),
        "max_epochs": 3,
        "num_sanity_val_steps": 0,
    }
    return kind(callbacks=list(callbacks), **{**defaults, **options})


def fit(
    callbacks: Sequence[Any] = (),
    module: Any = Toy,
    loader: Any = None,
    resume: Any = None,
    seed: int = 1,
    **options: Any,
) -> tuple[Any, Any]:
    """Train and return the trainer and the module; a class or function is called after seeding."""
    pl.seed_everything(seed, verbose=False)
    module = module if isinstance(module, torch.nn.Module) else module()
    loader = Batches() if loader is None else loader
    run = trainer(callbacks, **options)
    run.fit(module, loader, Halves(), ckpt_path=resume, weights_only=True if resume else None)
    return run, module


def digest(value: Any) -> str:
    """SHA-256 of nested containers, tensors by their bits."""
    sha = hashlib.sha256()

    def eat(part: Any) -> None:
        if isinstance(part, torch.Tensor):
            sha.update(f"{part.dtype}{tuple(part.shape)}".encode())
            sha.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        elif isinstance(part, Mapping):
            for key, inner in part.items():
                sha.update(f"{key}:".encode())
                eat(inner)
        elif isinstance(part, list | tuple):
            for inner in part:
                eat(inner)
        else:
            sha.update(f"{part!r};".encode())

    eat(value)
    return sha.hexdigest()[:12]


def fingerprint(run: Any, module: Any, recipe: Any) -> dict[str, Any]:
    """Everything that must be equal where two runs are said to be equal."""
    numpy_state = np.random.get_state()
    return {
        "weights and buffers": digest(module.state_dict()),
        "masks": digest(
            {k: recipe.engine.state.masks[k] for k in sorted(recipe.engine.state.masks)}
        ),
        "optimizers": digest([optimizer.state_dict() for optimizer in run.optimizers]),
        "schedulers": digest([c.scheduler.state_dict() for c in run.lr_scheduler_configs]),
        "rate": [group["lr"] for optimizer in run.optimizers for group in optimizer.param_groups],
        "torch": digest(torch.get_rng_state()),
        "numpy": digest([numpy_state[1].tolist(), *numpy_state[2:]]),
        "python": digest(random.getstate()),
        "metrics": {name: float(value) for name, value in run.callback_metrics.items()},
        "journal": recipe.engine.state.journal,
        "clock": [recipe.clock, recipe.engine.state.rate_clock, run.global_step, run.current_epoch],
        "complete": recipe.is_complete,
    }


def zeros(module: nn.Module) -> dict[str, torch.Tensor]:
    """Where the weights of linear layers are zero."""
    return {n: p.detach() == 0 for n, p in module.named_parameters() if p.ndim > 1}
