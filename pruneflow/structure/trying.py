"""Try whether a network says the same without channels as with their producers zero."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pruneflow.structure.groups import ChannelGroup
from pruneflow.structure.removing import remove, tensors_of
from pruneflow.structure.slicing import Gone, kept_slices, producer_rows

TOLERANCE = 1e-8
"""Between outputs in float64, relative to the largest; removing zeros only reorders sums."""

DRAWS = 8
"""How often other values are tried where nothing is seen of a channel: ReLUs may be in its way."""


class Trials:
    """A network under several draws of values, the same in every process.

    Args:
        model: In evaluation mode and in float64; it is copied.
        inputs: Its positional arguments.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[torch.Tensor]) -> None:
        self.model, self.inputs = model, inputs
        self.drawn: dict[int, tuple[nn.Module, list[torch.Tensor]]] = {}

    def hold(self, group: ChannelGroup, found: Sequence[ChannelGroup]) -> bool:
        """Whether a group's channels can go, alone and together with those of other groups."""
        half, rest = _halves(group)
        others = {other.name: _halves(other)[0] for other in found}
        gone: list[Gone] = [{group.name: [0]}, {group.name: half}, {**others, group.name: rest}]
        groups = [*found, group]
        return all(self._holds(groups, each, first) for first, each in enumerate(gone))

    def outputs(self, draw: int) -> list[torch.Tensor]:
        """What the whole network says under a draw."""
        return self._draw(draw)[1]

    def _draw(self, seed: int) -> tuple[nn.Module, list[torch.Tensor]]:
        if seed not in self.drawn:
            model = copy.deepcopy(self.model)
            _redraw(model, seed)
            self.drawn[seed] = model, _outputs(model, self.inputs)
        return self.drawn[seed]

    def _holds(self, groups: Sequence[ChannelGroup], gone: Gone, first: int) -> bool:
        """Whether the law holds, under the first draw by which the channels do something."""
        for draw in range(first, first + DRAWS):
            model, whole = self._draw(draw)
            try:
                removed = self._removed(model, groups, gone)
            except Exception:  # whatever forward makes of a shape that it did not expect
                return False
            masked = self._masked(model, groups, gone)
            if not _agree(masked, removed):
                return False
            if not _agree(masked, whole):
                return True
        return False

    def _removed(
        self, model: nn.Module, groups: Sequence[ChannelGroup], gone: Gone
    ) -> list[torch.Tensor]:
        smaller = copy.deepcopy(model)
        remove(smaller, kept_slices(groups, gone))
        return _outputs(smaller, self.inputs)

    def _masked(
        self, model: nn.Module, groups: Sequence[ChannelGroup], gone: Gone
    ) -> list[torch.Tensor]:
        tensors = tensors_of(model)
        rows = {name: list(some) for name, some in producer_rows(groups, gone).items()}
        kept = {name: tensors[name].data[some] for name, some in rows.items()}
        for name, some in rows.items():
            tensors[name].data[some] = 0
        try:
            return _outputs(model, self.inputs)
        finally:
            for name, some in rows.items():
                tensors[name].data[some] = kept[name]


def _halves(group: ChannelGroup) -> tuple[list[int], list[int]]:
    """A random half of the channels, and the others."""
    generator = torch.Generator().manual_seed(group.channels)
    order: list[int] = torch.randperm(group.channels, generator=generator).tolist()
    return order[: group.channels // 2], order[group.channels // 2 :]


@torch.no_grad()
def _redraw(model: nn.Module, seed: int) -> None:
    """Values with which a channel that is not zero shows; most ReLUs let it through."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in model.parameters():
        if tensor.dim() > 1:
            tensor.normal_(0, (2 / max(tensor[0].numel(), 1)) ** 0.5, generator=generator)
        else:
            tensor.uniform_(0.5, 1.5, generator=generator)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            if module.running_mean is not None:
                module.running_mean.normal_(0, 0.5, generator=generator)
            if module.running_var is not None:
                module.running_var.uniform_(0.5, 1.5, generator=generator)


def _agree(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> bool:
    return len(some) == len(others) and all(map(_near, some, others))


def _near(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape:
        return False
    apart = (one.double() - other.double()).abs()
    return bool((apart <= TOLERANCE * one.double().abs().amax()).all())


@torch.no_grad()
def _outputs(model: nn.Module, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [*_tensors(model(*inputs))]


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _tensors(item)
