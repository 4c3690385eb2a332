"""``synflow``: weights that little flows through, without data (Tanaka et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pruneflow.errors import TrainingError
from pruneflow.pruning.allocation import Quota
from pruneflow.pruning.oneshot.base import ONESHOT, Change, OneShot, Task

if TYPE_CHECKING:
    import torch
    from torch import nn


@ONESHOT.register("synflow")
@dataclass(frozen=True)
class SynFlow(OneShot):
    """Weights that carry little of what flows from an input of ones through absolute weights.

    Needs no data but the shape of an input. Density falls exponentially over the rounds, and
    every round scores what the last one left, so that no layer dies before the others (Tanaka
    et al. 2020, arXiv:2006.05467).

    Attributes:
        rounds: How many times to score and prune.
    """

    rounds: int = 100

    def prune(self, task: Task) -> Iterator[Change]:
        """See base class."""
        first = {name: task.already(name) for name in task.names}
        sizes = {name: (marks.numel(), int(marks.sum())) for name, marks in first.items()}
        pruned = first
        for quota in quotas(task.quota, sizes, self.rounds):
            scores = synflow_scores(task.model, pruned, task.calibration.example)
            pruned = task.choose(scores, quota, pruned)
        for name, marks in pruned.items():
            yield Change(name, marks)


def quotas(quota: Quota, sizes: Mapping[str, tuple[int, int]], rounds: int) -> Iterator[Quota]:
    """What each round leaves: density falls by the same factor every time.

    Args:
        quota: Of the last round.
        sizes: Weights and earlier zeros of each layer.
        rounds: How many.
    """
    size, zeros = (sum(numbers) for numbers in zip(*sizes.values(), strict=True))
    for done in range(1, rounds):
        share = done / rounds
        if quota.layers is None:
            yield replace(quota, zeros=_between(size, zeros, quota.zeros, share))
        else:
            yield Quota.fixed(
                {name: _between(*sizes[name], final, share) for name, final in quota.layers.items()}
            )
    yield quota


def _between(size: int, first: int, last: int, share: float) -> int:
    """Zeros on the way from the first to the last number of them."""
    if first == size:
        return size
    kept: float = (size - first) * ((size - last) / (size - first)) ** share
    return min(max(size - round(kept), first), last)


def synflow_scores(
    model: nn.Module, pruned: Mapping[str, torch.Tensor], example: torch.Tensor
) -> dict[str, torch.Tensor]:
    """``|dR/dw * w|`` with R the sum of outputs for ones (equation 1).

    In double precision, or in the network's own where its forward casts to that.

    All tensors of the network are taken absolute; running means negatively so, for a batch norm
    subtracts them and nothing may be lost to a ReLU. Batch norms are in evaluation mode.

    Args:
        model: The network.
        pruned: For each weight to score, where it is zero.
        example: An input, (samples, ...); only its shape counts.

    Raises:
        TrainingError: The network does not run on such an input alone, nothing flows through
            it, or the flow is not finite.
    """
    import torch

    if not example.is_floating_point():
        raise TrainingError(
            f"synflow: the network's inputs are {example.dtype}, and nothing flows from those: "
            "choose another criterion"
        )
    misfits = (RuntimeError, TypeError, ValueError)
    try:
        return _scores(model, pruned, example, torch.float64)
    except misfits:
        try:
            return _scores(model, pruned, example, None)
        except misfits as error:
            reason = f"{error}".partition("\n")[0]
            raise TrainingError(
                f"synflow: the network does not run on one input of shape "
                f"{[1, *example.shape[1:]]} and nothing else ({reason}): choose another criterion"
            ) from None


def _scores(
    model: nn.Module,
    pruned: Mapping[str, torch.Tensor],
    example: torch.Tensor,
    dtype: torch.dtype | None,
) -> dict[str, torch.Tensor]:
    """Scores from a flow in that precision, or in the network's own."""
    import torch

    from pruneflow.pruning.oneshot.gradients import gradients
    from pruneflow.pruning.oneshot.undisturbed import undisturbed

    with torch.no_grad():
        tensors = {
            name: _absolute(name, tensor, dtype or tensor.dtype)
            for name, tensor in (*model.named_parameters(), *model.named_buffers())
        }
    for name, marks in pruned.items():
        tensors[name] = tensors[name].masked_fill(marks, 0.0).requires_grad_()
    ones = torch.ones_like(example[:1], dtype=dtype)
    with undisturbed(model), torch.enable_grad():
        outputs = torch.func.functional_call(model, tensors, (ones,))
        flow = torch.stack([part.sum() for part in _floating(outputs)] or [ones.sum() * 0]).sum()
        amount = float(flow.detach())
        if not 0 < amount < float("inf"):
            raise TrainingError(
                f"synflow: what flows through the network for an input of ones is {amount:g}; it "
                "needs outputs that are not negative (logits, not their logarithms) and finite"
            )
        weights = {name: tensors[name] for name in pruned}
        slopes = gradients(flow, weights)
    return {
        name: (slopes[name].double() * weight.detach()).abs_() for name, weight in weights.items()
    }


def _absolute(name: str, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor.clone()
    absolute = tensor.detach().to(dtype).abs()
    return -absolute if name.endswith("running_mean") else absolute


def _floating(outputs: Any) -> Iterable[torch.Tensor]:
    """Every floating-point tensor in what a network returned."""
    import torch

    if isinstance(outputs, torch.Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, Mapping):
        return [tensor for part in outputs.values() for tensor in _floating(part)]
    if isinstance(outputs, list | tuple):
        return [tensor for part in outputs for tensor in _floating(part)]
    return []
