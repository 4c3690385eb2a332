"""Data modules: 28 x 28 images of digits, held in memory.

Besides Lightning's interface a data module may offer ``num_samples(split)`` and ``batch_size``:
then a plan is compiled without reading any data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.nn import functional as F

from pruneflow.registry import Registry
from pruneflow.zoo import mnist
from pruneflow.zoo.loader import EpochLoader

DATA: Registry[type[ImageData]] = Registry("data set", "pruneflow.data")

MEAN, DEVIATION = 0.1307, 0.3081
"""Of all pixels of MNIST's training images, between 0 and 1."""

Arrays = tuple[torch.Tensor, torch.Tensor]


class ImageData(LightningDataModule):
    """Images and labels in three splits that are the same for every seed.

    Args:
        batch_size: Images in a training batch.
        seed: Seeds the order of training images, and nothing else.
        root: Where files are, for data that comes in files.

    Attributes:
        sizes: Images of every split.
        preprocessing: What makes an input of an image, for whoever deploys the network.

    Raises:
        ValueError: ``batch_size`` is no number of images.
    """

    sizes: dict[str, int]
    preprocessing: dict[str, Any]

    def __init__(self, batch_size: int = 64, seed: int = 0, root: str | None = None) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size has to be a whole number from 1, not {batch_size}")
        self.batch_size = batch_size
        self.seed = seed
        self.root = Path(root) if root else mnist.default_root()
        self._splits: dict[str, Arrays] = {}

    def num_samples(self, split: str) -> int:
        """Images in ``train``, ``val`` or ``test``, known without loading them."""
        return self.sizes[split]

    def setup(self, stage: str | None = None) -> None:
        """Load what is not loaded yet."""
        if not self._splits:
            self._splits = self.load()

    def train_dataloader(self) -> EpochLoader:
        """Shuffled, resumable batches."""
        return EpochLoader(*self._splits["train"], self.batch_size, shuffle=True, seed=self.seed)

    def val_dataloader(self) -> EpochLoader:
        """Batches to choose by."""
        return EpochLoader(*self._splits["val"], 1000)

    def test_dataloader(self) -> EpochLoader:
        """Batches to report on."""
        return EpochLoader(*self._splits["test"], 1000)

    def load(self) -> dict[str, Arrays]:
        """Images (n, 1, 28, 28), standardized, and labels (n,) of every split."""
        raise NotImplementedError


@DATA.register("digits")
class Digits(ImageData):
    """The 1,797 digits of 8 x 8 pixels that scikit-learn ships, enlarged to 28 x 28."""

    sizes = {"train": 1257, "val": 180, "test": 360}  # noqa: RUF012
    preprocessing = {"divide_by": 16, "resize": [28, 28], "interpolation": "bilinear"}  # noqa: RUF012

    def load(self) -> dict[str, Arrays]:
        """See base class."""
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        small = torch.from_numpy(pixels).float().view(-1, 1, 8, 8) / 16
        images = F.interpolate(small, size=28, mode="bilinear")
        return _split(images, torch.from_numpy(labels), self.sizes)


@DATA.register("mnist")
class MNIST(ImageData):
    """70,000 handwritten digits of 28 x 28 pixels (LeCun et al. 1998)."""

    sizes = {"train": 55_000, "val": 5_000, "test": 10_000}  # noqa: RUF012
    preprocessing = {"divide_by": 255, "subtract": MEAN, "then_divide_by": DEVIATION}  # noqa: RUF012

    def load(self) -> dict[str, Arrays]:
        """See base class."""
        train = _split(*_tensors(*mnist.load(self.root, "train")), {"train": 55_000, "val": 5_000})
        return {**train, "test": _tensors(*mnist.load(self.root, "t10k"))}


def _tensors(images: np.ndarray, labels: np.ndarray) -> Arrays:
    pixels = torch.from_numpy(images.copy()).float().unsqueeze(1) / 255
    return (pixels - MEAN) / DEVIATION, torch.from_numpy(labels.astype(np.int64))


def _split(images: torch.Tensor, labels: torch.Tensor, sizes: dict[str, int]) -> dict[str, Arrays]:
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = torch.split(order, list(sizes.values()))
    return {name: (images[part], labels[part]) for name, part in zip(sizes, parts, strict=True)}
