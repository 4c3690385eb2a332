"""Scores: the weights with the lowest ones are pruned first.

A criterion is a function of one flat chunk of weights, so that no second copy of the network is
ever made, and of a generator seeded from (seed, step, layer), so that every rank and every pass
over the weights sees the same scores. A ``GatheredScore`` is one of what it has gathered instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pruneflow.pruning.gathering import GatheredScore
from pruneflow.registry import Registry

if TYPE_CHECKING:
    import torch

Criterion = Callable[["torch.Tensor", "torch.Generator"], "torch.Tensor"]

CRITERIA: Registry[Criterion] = Registry("criterion", "pruneflow.criteria")


@CRITERIA.register("magnitude")
def magnitude(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Absolute value (Han et al. 2015)."""
    return weights.abs()


@CRITERIA.register("random")
def random(weights: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Uniform noise: the control that any other criterion has to beat."""
    noise = weights.new_empty(weights.numel(), device=generator.device).float()
    return noise.uniform_(generator=generator)


class BatchNormScale:
    """Scale of a channel's batch norm; it needs 'granularity: channel' (Liu et al. 2017).

    The absolute value of gamma, section 3 of arXiv:1708.06519. Chunks are of the scales of batch
    norms, in place of weights.
    """

    def __call__(self, scales: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """The scores of a flat chunk of scales."""
        return scales.abs()


class Movement(GatheredScore):
    """How far training moves a weight away from zero, since it began (Sanh et al. 2020, eq. 3).

    The sum of ``-weight * gradient`` over all updates; arXiv:2005.07683.
    """

    since = "start"

    def gather(self, total: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor) -> None:
        """See base class."""
        total.addcmul_(weight.to(total), gradient.to(total), value=-1)


class Snip(GatheredScore):
    """Effect of removing a weight on the loss of the last batch (Lee et al. 2019, eq. 6).

    The absolute value of ``weight * gradient``; arXiv:1810.02340.
    """

    since = "update"

    def gather(self, total: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor) -> None:
        """See base class."""
        total.addcmul_(weight.to(total), gradient.to(total)).abs_()


class Taylor(GatheredScore):
    """Squared effect on the loss, over all updates since the last event (Molchanov 2019, eq. 8).

    The sum of ``(weight * gradient) ** 2``; arXiv:1906.10771.
    """

    since = "event"

    def gather(self, total: torch.Tensor, weight: torch.Tensor, gradient: torch.Tensor) -> None:
        """See base class."""
        effect = weight.to(total) * gradient.to(total)
        total.addcmul_(effect, effect)


CRITERIA.register("bn_scale")(BatchNormScale())
CRITERIA.register("movement")(Movement())
CRITERIA.register("snip")(Snip())
CRITERIA.register("taylor")(Taylor())
