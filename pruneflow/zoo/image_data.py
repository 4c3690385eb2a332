"""What every data set of the zoo is: a data module of images that are held in memory.

Besides Lightning's interface a data module may offer ``num_samples(split)`` and ``batch_size``:
then a plan is compiled without reading any data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule

from pruneflow.registry import Registry
from pruneflow.zoo.augment import Augment
from pruneflow.zoo.files import default_root
from pruneflow.zoo.loader import EpochLoader

DATA: Registry[type[ImageData]] = Registry("data set", "pruneflow.data")

Arrays = tuple[torch.Tensor, torch.Tensor]


class ImageData(LightningDataModule):
    """Images and labels in three splits that are the same for every seed.

    Args:
        batch_size: Images in a training batch, of one process.
        seed: Seeds the order of training images and how they are augmented, and nothing else.
        root: Where files are, for data that comes in files.
        augment: What is done to training images.

    Attributes:
        sizes: Images of every split.
        channels: Of an image; models are built for it, and for the next two.
        size: Height and width of an image, in pixels.
        classes: Number of classes.
        preprocessing: What makes an input of an image, for whoever deploys the network.

    Raises:
        ValueError: ``batch_size`` is no number of images, or they are shifted out of sight.
    """

    sizes: dict[str, int]
    channels: int = 1
    size: int = 28
    classes: int = 10
    preprocessing: dict[str, Any]

    def __init__(
        self,
        batch_size: int = 64,
        seed: int = 0,
        root: str | None = None,
        augment: Augment | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size has to be a whole number from 1, not {batch_size}")
        if augment is not None and augment.shift >= self.size:
            raise ValueError(f"augment.shift={augment.shift}: images are {self.size} pixels wide")
        self.batch_size = batch_size
        self.seed = seed
        self.root = Path(root) if root else default_root()
        self.augment = augment
        self._splits: dict[str, Arrays] = {}

    def num_samples(self, split: str) -> int:
        """Images in ``train``, ``val`` or ``test``, known without loading them."""
        return self.sizes[split]

    def prepare_data(self) -> None:
        """Load on one process of a machine first, lest all of them download at once."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Load what is not loaded yet."""
        if not self._splits:
            self._splits = self.load()

    def train_dataloader(self) -> EpochLoader:
        """Shuffled, augmented, resumable batches."""
        return EpochLoader(
            *self._splits["train"], self.batch_size, shuffle=True, seed=self.seed,
            augment=self.augment, finish=self.finish, share=self._share(),
        )  # fmt: skip

    def val_dataloader(self) -> EpochLoader:
        """Batches to choose by."""
        return self._in_order("val")

    def test_dataloader(self) -> EpochLoader:
        """Batches to report on."""
        return self._in_order("test")

    def _in_order(self, split: str) -> EpochLoader:
        return EpochLoader(*self._splits[split], 1000, finish=self.finish, share=self._share())

    def _share(self) -> tuple[int, int]:
        """Which of the trainer's processes this is, and how many divide the images."""
        divided = self.trainer and self.trainer.distributed_sampler_kwargs
        return (divided["rank"], divided["num_replicas"]) if divided else (0, 1)

    def load(self) -> dict[str, Arrays]:
        """Images (n, channels, size, size) and labels (n,) of every split.

        Raises:
            DataError: Files are absent or damaged.
        """
        raise NotImplementedError

    def finish(self, images: torch.Tensor) -> torch.Tensor:
        """Inputs of a batch of images as ``load`` has them."""
        return images


class ByteImages(ImageData):
    """Images that are held as bytes, and standardized batch by batch.

    Attributes:
        mean: Of every channel of the training images, between 0 and 1.
        deviation: Their standard deviation.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def finish(self, images: torch.Tensor) -> torch.Tensor:
        """See base class."""
        mean, deviation = (torch.tensor(v).view(-1, 1, 1) for v in (self.mean, self.deviation))
        return (images.float() / 255 - mean) / deviation


def split(images: torch.Tensor, labels: torch.Tensor, sizes: dict[str, int]) -> dict[str, Arrays]:
    """Parts of these sizes, drawn once and for all."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    parts = torch.split(order, list(sizes.values()))
    return {name: (images[part], labels[part]) for name, part in zip(sizes, parts, strict=True)}


def splits_of(train: ByteArrays, test: ByteArrays, sizes: dict[str, int]) -> dict[str, Arrays]:
    """The published training data, some of it kept for validation, and the published test data."""
    of_training = {name: sizes[name] for name in ("train", "val")}
    return {**split(*_tensors(*train), of_training), "test": _tensors(*test)}


ByteArrays = tuple[np.ndarray, np.ndarray]
"""Images (n, channels, size, size) and labels (n,) as bytes."""


def _tensors(images: np.ndarray, labels: np.ndarray) -> Arrays:
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))
