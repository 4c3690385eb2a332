"""``recalibrate_bn``: batch-norm statistics that fit the weights as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import Modifier, modifier
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Count, Instant, option
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.timeline import Moment, parse_time

if TYPE_CHECKING:
    from torch import nn

    from pruneflow.network import Network


@modifier("recalibrate_bn")
@dataclass(frozen=True, kw_only=True)
class RecalibrateBN(Modifier):
    """Estimate the running statistics of all batch norms anew, on training batches.

    Pruning shifts what layers put out, and running averages follow slowly. They become the plain
    average of the statistics of each batch; weights, the data's position and random numbers stay
    as they are.
    """

    paper = "Li et al. 2020 (EagleEye), arXiv:2007.02491"
    example = {"start": "2ep"}

    start: Moment = option(Instant(), "when", parse_time("0st"))
    batches: int = option(Count(1), "training batches to average over, if there are as many", 100)

    @property
    def needs_batches(self) -> bool:
        """See base class."""
        return True

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        start = site.step(self, "start")
        return start, start

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        label = f"statistics of up to {self.batches} batches"
        return [Event(self.span(site)[0], self.name, "change", label=label, last=True)]

    def require_module(self, module: nn.Module) -> None:
        """See base class."""
        from pruneflow.operations.batch_norm import tracking

        if not tracking(module):
            raise FieldError("type", "the network has no batch norm with running statistics")

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        from pruneflow.operations.batch_norm import recalibrate

        recalibrate(network, self.batches, self.name)
