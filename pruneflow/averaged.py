"""Averaged copies of a network, and what they are wrapped in."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

WRAPPERS = ("_orig_mod", "module")
"""Attributes for the module inside: of ``torch.compile``, which has those of that module too; of
``AveragedModel`` and timm's averages."""


def averaged_copy(average: nn.Module, names: Iterable[str]) -> nn.Module | None:
    """The module itself in an average, or inside it, that has parameters of these names."""
    wanted = set(names)
    inside: object = average
    while isinstance(inside, nn.Module):
        if wanted <= dict(inside.named_parameters()).keys():
            return inside
        children = (getattr(inside, key, None) for key in WRAPPERS)
        inside = next((child for child in children if isinstance(child, nn.Module)), None)
    return None
