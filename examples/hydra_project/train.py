"""A project with a Hydra configuration and a scheduler of its own; pruning is one more group.

    python examples/hydra_project/train.py
    python examples/hydra_project/train.py -m pruning=gradual,once pruning.sparsity=0.8,0.95

``conf/`` is this project's; the recipe that it names composes inside this Hydra program.
"""

import hydra
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(pl.LightningModule):
    """Its optimizer and scheduler come from the configuration."""

    def __init__(self, config: DictConfig) -> None:
        super().__init__()
        self.config = config
        self.body = nn.Sequential(nn.Linear(64, config.width), nn.ReLU())
        self.head = nn.Linear(config.width, 10)

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        return F.cross_entropy(self.head(self.body(batch[0])), batch[1])

    def test_step(self, batch: list[torch.Tensor], index: int) -> None:
        right = self.head(self.body(batch[0])).argmax(1) == batch[1]
        self.log("accuracy", right.float().mean())

    def configure_optimizers(self):
        optimizer = instantiate(self.config.optimizer, self.parameters())
        steps = self.trainer.estimated_stepping_batches
        scheduler = instantiate(self.config.scheduler, optimizer, total_steps=steps)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    pl.seed_everything(config.seed, verbose=False)
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.from_numpy(images / 16).float(), torch.from_numpy(labels))
    train, test = random_split(data, [1500, 297])
    recipe = instantiate(config.pruning)  # new
    trainer = pl.Trainer(
        max_epochs=config.epochs,
        accelerator="cpu",
        callbacks=[recipe],  # new
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    net = Net(config)
    trainer.fit(net, DataLoader(train, 32, shuffle=True))
    (result,) = trainer.test(net, DataLoader(test, 297), verbose=False)
    accuracy = result["accuracy"]
    sparsity = recipe.engine.sparsity
    print(f"{recipe.recipe.name}: {sparsity:.1%} sparse, test accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
