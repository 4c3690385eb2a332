"""Digits that need no download."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from pruneflow.zoo.image_data import DATA, Arrays, ImageData, split


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
        return split(images, torch.from_numpy(labels), self.sizes)
