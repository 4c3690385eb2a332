"""The callback in a Lightning project that knows nothing of PruneFlow: a few lines are new.

    python examples/existing_project.py          # train
    python examples/existing_project.py FOLDER   # the same with checkpoints there; again: go on

A run that was killed ends with the weights it would have had, down to the bit.
"""

import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from pruneflow import ExactCheckpoint, RecipeCallback  # new
from pruneflow.checkpoint import newest_checkpoint  # new


class Net(pl.LightningModule):
    """Somebody's module, with batch norm and a scheduler of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU())
        self.head = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        images, labels = batch
        return F.cross_entropy(self(images), labels)

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        images, labels = batch
        self.log("accuracy", (self(images).argmax(1) == labels).float().mean(), prog_bar=True)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), 3e-3)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def main(folder: Path | None = None) -> None:
    pl.seed_everything(0, verbose=False)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.from_numpy(images / 16).float(), torch.from_numpy(labels))
    train, val = torch.utils.data.random_split(data, [1500, 297])
    callbacks: list[pl.Callback] = [RecipeCallback("gradual", sparsity=0.9)]  # new
    if folder is not None:
        callbacks.append(ExactCheckpoint(folder))  # new
    trainer = pl.Trainer(
        max_epochs=12,
        accelerator="cpu",
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=folder is not None,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
    )
    net = Net()
    loaders = DataLoader(train, 32, shuffle=True), DataLoader(val, 297)
    last = newest_checkpoint(folder) if folder is not None else None  # new
    trainer.fit(net, *loaders, ckpt_path=last, weights_only=True)
    (result,) = trainer.validate(net, loaders[1], verbose=False)
    zeros = sum(int((p == 0).sum()) for p in net.parameters() if p.ndim > 1)
    print(f"{zeros:,} zeros; validation accuracy {result['accuracy']:.1%}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
