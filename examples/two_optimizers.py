"""Manual optimization with two optimizers: a GAN of which only the generator is pruned.

    python examples/two_optimizers.py

A batch in which any optimizer steps is one step of the recipe.
"""

import pytorch_lightning as pl
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as loss_of
from torch.utils.data import DataLoader

from pruneflow import RecipeCallback

NOISE = 16


class Gan(pl.LightningModule):
    """Draws digits of 8 x 8 points."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(
            nn.Linear(NOISE, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64)
        )
        self.discriminator = nn.Sequential(nn.Linear(64, 128), nn.LeakyReLU(), nn.Linear(128, 1))

    def training_step(self, real: torch.Tensor, index: int) -> None:
        for_generator, for_discriminator = self.optimizers()
        fake = self.generator(torch.randn(len(real), NOISE)).sigmoid()

        told = self.discriminator(torch.cat([real, fake.detach()]))
        truth = torch.cat([torch.ones(len(real), 1), torch.zeros(len(real), 1)])
        for_discriminator.zero_grad()
        self.manual_backward(loss_of(told, truth))
        for_discriminator.step()

        if index % 2 == 0:  # the generator learns in every other batch
            fooled = self.discriminator(fake)
            for_generator.zero_grad()
            self.manual_backward(loss_of(fooled, torch.ones_like(fooled)))
            self.clip_gradients(for_generator, gradient_clip_val=1.0)
            for_generator.step()

    def configure_optimizers(self):
        return (
            torch.optim.Adam(self.generator.parameters(), 2e-3, betas=(0.5, 0.999)),
            torch.optim.Adam(self.discriminator.parameters(), 1e-3, betas=(0.5, 0.999)),
        )


def main() -> None:
    pl.seed_everything(0, verbose=False)
    images = torch.from_numpy(load_digits().data / 16).float()
    only = ["targets=[generator.*]", "~modifiers.finetune"]  # and every optimizer keeps its rate
    recipe = RecipeCallback("gradual", sparsity=0.8, overrides=only)
    trainer = pl.Trainer(
        max_epochs=10,
        accelerator="cpu",
        callbacks=[recipe],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    gan = Gan()
    trainer.fit(gan, DataLoader(images, 64, shuffle=True, drop_last=True))
    for name, part in gan.named_children():
        weights = torch.cat([p.flatten() for p in part.parameters() if p.ndim > 1])
        print(f"{name}: {float((weights == 0).float().mean()):.1%} of {len(weights):,} are zero")
    print(f"{recipe.clock} steps of the recipe, {trainer.global_step} of the two optimizers")


if __name__ == "__main__":
    main()
