"""Random shifts and flips of a batch of images, drawn from a generator of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from pruneflow.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Augment:
    """What is done to training images, before they are standardized.

    Attributes:
        shift: Most pixels that an image moves, up or down and left or right; what comes in is 0,
            the darkest pixel. With 4 it is the padding and cropping of He et al. 2016.
        flip: Whether an image is mirrored, left to right, half of the time.
    """

    shift: int = 0
    flip: bool = False

    @classmethod
    def from_tree(cls, tree: object) -> Augment:
        """What ``data.augment`` says: a mapping of the fields, or None.

        Raises:
            ConfigError: It says something else; the message names the key.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(tree, Mapping | None):
            raise ConfigError(f"data.augment={tree}: needs a mapping of {' and '.join(names)}")
        values: dict[str, Any] = dict(tree or {})
        for name in values:
            if name not in names:
                raise ConfigError(
                    f"data.augment: no key '{name}'.{did_you_mean(name, names, True)}"
                )
        augment = cls(**values)
        if type(augment.shift) is not int or augment.shift < 0:
            raise ConfigError(f"data.augment.shift={augment.shift}: needs a whole number from 0")
        if type(augment.flip) is not bool:
            raise ConfigError(f"data.augment.flip={augment.flip}: needs true or false")
        return augment

    def __bool__(self) -> bool:
        return self.shift > 0 or self.flip

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images (n, channels, height, width) of as many, of the same dtype."""
        n, channels, height, width = images.shape
        moves = torch.randint(2 * self.shift + 1, (2, n, 1), generator=generator)
        rows, columns = moves[0] + torch.arange(height), moves[1] + torch.arange(width)
        if self.flip:
            mirrored = torch.rand((n, 1), generator=generator) < 0.5
            columns = torch.where(mirrored, columns.flip(1), columns)
        padded = torch.nn.functional.pad(images, [self.shift] * 4)
        every_image = torch.arange(n).view(n, 1, 1, 1)
        every_channel = torch.arange(channels).view(1, channels, 1, 1)
        return padded[every_image, every_channel, rows[:, None, :, None], columns[:, None, None]]
