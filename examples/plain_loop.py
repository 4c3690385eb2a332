"""A hand-written loop without Lightning: ``pruneflow.prune`` and one line after each batch.

    python examples/plain_loop.py              # train
    python examples/plain_loop.py last.pt      # the same with a checkpoint; again: go on

The learning rate's schedule, clipped gradients and the checkpoint are the loop's own.
"""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

import pruneflow


def main(checkpoint: Path | None = None) -> None:
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.from_numpy(images / 16).float(), torch.from_numpy(labels))
    train, test = random_split(data, [1500, 297])
    loader = DataLoader(train, 32, shuffle=True, generator=torch.Generator())
    model = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)

    pruning = pruneflow.prune(
        model,
        "gradual",
        sparsity=0.9,
        optimizer=optimizer,
        scheduler=scheduler,
        steps_per_epoch=len(loader),
        epochs=12,
    )
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "pruning": pruning}
    if checkpoint is not None and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        print(f"goes on in epoch {pruning.epoch}")
    else:
        print(pruning.plan)

    for epoch in range(pruning.epoch, pruning.epochs):
        loader.generator.manual_seed(epoch)  # the order of an epoch depends on its number alone
        for inputs, targets in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(inputs), targets).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # pruned weights do not count
            optimizer.step()
            pruning.step()
        scheduler.step()
        if checkpoint is not None:
            torch.save({name: part.state_dict() for name, part in parts.items()}, checkpoint)

    model.eval()
    inputs, targets = next(iter(DataLoader(test, len(test))))
    accuracy = (model(inputs).argmax(1) == targets).float().mean()
    print(f"{pruning.sparsity:.1%} sparse, test accuracy {accuracy:.1%}")
    for name, sparsity in pruning.layer_sparsity.items():
        print(f"  {name}: {sparsity:.1%}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
