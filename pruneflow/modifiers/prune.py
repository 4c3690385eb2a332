"""``prune``: raise sparsity along a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pruneflow.modifiers.base import modifier
from pruneflow.modifiers.channels import (
    made_by,
    not_of_weights,
    require_scales,
    targeted_groups,
)
from pruneflow.modifiers.duties import Duty
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import SPARSITY, Choice, GranularityKind, option
from pruneflow.modifiers.gathered import gatherings, require_gradients
from pruneflow.modifiers.ramp import SparsityRamp
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spreading import SpreadsZeros, layer_cap, layer_floor, varied_sparsity
from pruneflow.pruning.allocation import ALLOCATIONS
from pruneflow.pruning.criteria import CRITERIA
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.growth import GROWTHS
from pruneflow.pruning.scope import Layer

if TYPE_CHECKING:
    from pruneflow.network import Network


@modifier("prune")
@dataclass(frozen=True, kw_only=True)
class Prune(SpreadsZeros, SparsityRamp):
    """Raise sparsity along a schedule, by a criterion, spread over layers by an allocation.

    Without 'end' it happens once, at 'start'. With 'end' it happens at 'start', then once every
    'every', and at 'end', where the sparsity is exactly the final one.
    """

    paper = "Zhu & Gupta 2017, arXiv:1710.01878"
    example = {"sparsity": 0.5, "start": "1ep", "end": "3ep", "every": "1ep"}
    owns_masks = True
    resolved = frozenset(
        {
            "sparsity", "initial_sparsity", "milestones", "schedule", "power",
            "start", "end", "every", "allocation",
        }
    )  # fmt: skip

    criterion: str = option(Choice(CRITERIA), "which weights go first", "magnitude")
    allocation: str = option(Choice(ALLOCATIONS), "how zeros are spread over layers", "global")
    regrow: float = option(
        SPARSITY,
        "share of the weights left that every event but the last exchanges, layer by layer, for "
        "pruned ones with the largest gradient (GraNet, arXiv:2106.10404)",
        0.0,
    )
    granularity: Granularity = option(
        GranularityKind(by_group=True),
        "what goes together; n:m and blocks are of one place in the window of a convolution",
        UNSTRUCTURED,
    )
    max_layer_sparsity: float = layer_cap()
    min_nonzeros: int | None = layer_floor()

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        found = [*super().check(), *varied_sparsity(self.goal, self.allocation)]
        if self.regrow and self.granularity != UNSTRUCTURED:
            found.append(("regrow", f"exchanges single weights, not {self.granularity}"))
        if self.regrow and self.end is None and self.milestones is None:
            text = "the last event exchanges nothing, and without an 'end' there is just that one"
            found.append(("regrow", text))
        if self.granularity.by_group and self.allocation in ("erk", "lamp"):
            text = f"'{self.allocation}' compares weights, not {self.granularity}: choose another"
            found.append(("allocation", text))
        return found if self.granularity.by_group else [*found, *not_of_weights(self.criterion)]

    @property
    def needs_groups(self) -> bool:
        """See base class."""
        return self.granularity.by_group

    @property
    def needs_whole(self) -> tuple[str, Any] | None:
        """See base class."""
        if not self.granularity.by_row:
            return "granularity", self.granularity
        if self.regrow:
            return "regrow", self.regrow
        return ("allocation", self.allocation) if self.allocation == "lamp" else None

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        layers = self._counted(site)
        try:
            self.granularity.require_fit(layers)
        except ValueError as error:
            raise FieldError("granularity", str(error)) from None
        shape = "" if self.granularity == UNSTRUCTURED else f", {self.granularity}"
        names = self._names(site)
        groups = site.known_groups() if self.needs_groups else ()
        steps = self.sparsities(site)
        require_gradients(self.criterion, steps[0][0])
        if self.needs_groups:
            require_scales(site, targeted_groups(site, self), self.criterion)
        events = []
        for number, (step, sparsity) in enumerate(steps, 1):
            last = number == len(steps)
            quota = self.spread(self.allocation, layers, sparsity, self.granularity)
            label = f"prune {number} of {len(steps)}{shape}"
            event = Event(step, self.name, "prune", names, quota, label, last, self.granularity)
            if self.needs_groups:
                event = replace(event, quota=None, channels=quota, groups=groups)
            events.append(event)
            if self._regrows(step) and not last:
                label = f"exchange {self.regrow:.0%}"
                events.append(
                    Event(step, self.name, "regrow", names, label=label, share=self.regrow)
                )
        return events

    def duties(self, site: Site) -> Sequence[Duty]:
        """See base class."""
        names = self._names(site)
        steps = [step for step, _ in self.sparsities(site)]
        duties = gatherings(self.name, names, steps, CRITERIA[self.criterion], self.name)
        at = [step for step in steps[:-1] if self._regrows(step)]
        return [*duties, *gatherings(self.name, names, at, GROWTHS["gradient"], self._growth_key)]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        if event.action == "regrow":
            from pruneflow.operations.exchanging import exchange

            exchange(network, event.layers, event.share, "gradient", self._growth_key)
            return
        if event.channels is not None:
            from pruneflow.operations.channels import prune_channels

            prune_channels(network, event, self.criterion, self.name)
            return
        assert event.quota is not None
        network.prune(event.layers, event.quota, self.criterion, event.granularity, self.name)

    def _counted(self, site: Site) -> Sequence[Layer]:
        """The layers whose weights are counted, or what stands for groups of channels."""
        if self.needs_groups:
            return [layer for _, layer in targeted_groups(site, self)]
        return site.chosen(self)

    def _names(self, site: Site) -> tuple[str, ...]:
        """The weights that are pruned."""
        if self.needs_groups:
            return made_by(site, [group for group, _ in targeted_groups(site, self)])
        return site.names(self)

    @property
    def _growth_key(self) -> str:
        return f"{self.name}/growth"

    def _regrows(self, step: int) -> bool:
        """Whether an event at this step exchanges weights: before training there is no gradient."""
        return self.regrow > 0 and step > 0
