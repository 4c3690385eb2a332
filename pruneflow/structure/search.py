"""Find the groups of channels that can be removed without changing what a network says."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from pruneflow.errors import UserError
from pruneflow.structure.dependencies import candidates
from pruneflow.structure.groups import ChannelGroup
from pruneflow.structure.trying import Trials


def channel_groups(
    model: nn.Module, example: torch.Tensor | Sequence[torch.Tensor]
) -> tuple[ChannelGroup, ...]:
    """The groups whose channels can be removed, in the order of the model's layers.

    Torch-Pruning proposes groups; each is then tried on a copy in float64 with other values, the
    same in every process: with a channel's producers zero, the network has to say the same as
    without the channel. So nothing is in a group that reaches the network's outputs by itself,
    goes through a function that is not zero at zero (a sigmoid) or one of several channels
    (LayerNorm, softmax, attention), or whose number stands in ``forward``.

    Args:
        model: Left as it is.
        example: What ``forward`` takes: a tensor, or several; of floating-point numbers only
            shapes matter.

    Raises:
        UserError: Torch-Pruning is not installed or cannot follow the model, or the model cannot
            be copied or does not run on the example.
    """
    arguments = [example] if isinstance(example, torch.Tensor) else [*example]
    inputs = [_redrawn(argument) for argument in arguments]
    try:
        model = copy.deepcopy(model).to("cpu", torch.float64).eval().requires_grad_(True)
        trials = Trials(model, inputs)
        outputs = trials.outputs(0)
    except Exception as error:
        text = f"a copy of the network does not run on the example: {_said(error)}"
        raise UserError(text) from error
    if not outputs or not all(bool(output.isfinite().all()) for output in outputs):
        raise UserError("the network gives no finite numbers for the example")
    found: list[ChannelGroup] = []
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        proposed = [*candidates(copy.deepcopy(model), inputs)]
    for group in proposed:
        if not _overlap(group, found) and trials.hold(group, found):
            found.append(group)
    return tuple(found)


def _redrawn(argument: torch.Tensor) -> torch.Tensor:
    if not argument.is_floating_point():
        return argument.cpu()
    generator = torch.Generator().manual_seed(0)
    return torch.rand(argument.shape, generator=generator, dtype=torch.float64)


def _overlap(group: ChannelGroup, found: Sequence[ChannelGroup]) -> bool:
    taken = {place for other in found for place in _places(other)}
    return not taken.isdisjoint(_places(group))


def _places(group: ChannelGroup) -> Iterator[tuple[str, int, int]]:
    for part in group.parts:
        for indices in part.indices:
            yield from ((part.tensor, part.dim, index) for index in indices)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
