"""``oneshot_prune``: prune at one stroke, by what the network does with calibration batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING

from pruneflow.modifiers.base import TargetedModifier, modifier
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import (
    SPARSITY,
    Choice,
    Count,
    GranularityKind,
    Instant,
    Number,
    PerLayer,
    option,
)
from pruneflow.modifiers.ramp import implied_sparsity
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spreading import SpreadsZeros, layer_cap, layer_floor, varied_sparsity
from pruneflow.pruning.allocation import ALLOCATIONS, Quota, Sparsity
from pruneflow.pruning.granularities import UNSTRUCTURED, Granularity
from pruneflow.pruning.oneshot import ONESHOT, OneShot
from pruneflow.pruning.scope import Layer
from pruneflow.timeline import Moment, parse_time

if TYPE_CHECKING:
    from pruneflow.network import Network

BY_ONE_THRESHOLD = ("global", "lamp")


@modifier("oneshot_prune")
@dataclass(frozen=True, kw_only=True)
class OneshotPrune(SpreadsZeros, TargetedModifier):
    """Prune once, at 'start', by a criterion that watches the network on calibration batches.

    ``wanda`` and ``sparsegpt`` prune a trained network; ``snip`` and ``synflow`` one that is to
    be trained. Calibration batches are training data; reading them moves no loader and draws no
    random number of the training.
    """

    paper = (
        "Sun et al. 2023, arXiv:2306.11695; Frantar & Alistarh 2023, arXiv:2301.00774; "
        "Lee et al. 2019, arXiv:1810.02340; Tanaka et al. 2020, arXiv:2006.05467"
    )
    example = {"criterion": "wanda", "sparsity": 0.5, "start": "1ep"}
    owns_masks = True

    criterion: str = option(Choice(ONESHOT), "which weights go")
    sparsity: float | dict[str, float] | None = option(
        PerLayer(SPARSITY),
        "share of the targeted weights that is zero; granularity n:m says it by itself",
        None,
    )
    start: Moment = option(Instant(), "when", parse_time("0st"))
    batches: int = option(Count(1), "calibration batches, if there are as many", 16)
    granularity: Granularity = option(
        GranularityKind(),
        "what goes together; n:m and blocks are of one place in the window of a convolution",
        UNSTRUCTURED,
    )
    allocation: str | None = option(
        Choice(ALLOCATIONS),
        "how zeros are spread over layers; default: uniform for wanda and sparsegpt, whose scores "
        "of unlike layers do not compare, else global",
        None,
    )
    max_layer_sparsity: float = layer_cap()
    min_nonzeros: int | None = layer_floor()
    damping: float | None = option(
        Number(0, above=True),
        "sparsegpt: added to the Hessian's diagonal, as a share of its mean; default: 0.01",
        None,
    )
    block_size: int | None = option(
        Count(1), "sparsegpt: columns that are chosen from together; default: 128", None
    )
    rounds: int | None = option(
        Count(1), "synflow: how many times it scores and prunes; default: 100", None
    )

    @property
    def needs_batches(self) -> bool:
        """See base class."""
        return True

    @property
    def needs_loss(self) -> bool:
        """See base class."""
        return ONESHOT[self.criterion].needs_loss

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        found = [
            (name, f"criterion '{self.criterion}' does not use '{name}'")
            for name in ("damping", "block_size", "rounds")
            if getattr(self, name) is not None and name not in self._settings
        ]
        found += implied_sparsity(self.sparsity, self.granularity)
        if self._goal is None:
            found.append(("", "required field 'sparsity' is missing"))
        if self.allocation in BY_ONE_THRESHOLD and ONESHOT[self.criterion].layerwise:
            text = (
                f"'{self.criterion}' has no scores that compare across layers: choose 'uniform', "
                "'erk' or 'per_layer'"
            )
            found.append(("allocation", text))
        return found + varied_sparsity(self._goal, self.allocation)

    def span(self, site: Site) -> tuple[int, int]:
        """See base class."""
        start = site.step(self, "start")
        return start, start

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        layers = site.chosen(self)
        try:
            self._made.require_fit(layers, self.granularity)
        except ValueError as error:
            raise FieldError("granularity", str(error)) from None
        shape = "" if self.granularity == UNSTRUCTURED else f", {self.granularity}"
        names, quota = tuple(layer.name for layer in layers), self._quota(layers)
        label = f"prune by {self.criterion}{shape}"
        step = self.span(site)[0]
        return [Event(step, self.name, "prune", names, quota, label, True, self.granularity)]

    def fire(self, event: Event, network: Network) -> None:
        """See base class."""
        from pruneflow.operations.oneshot import prune_at_once

        assert event.quota is not None
        how = self._made, event.granularity
        prune_at_once(network, event.layers, event.quota, *how, self.batches, self.name)

    @property
    def _settings(self) -> list[str]:
        """The criterion's own."""
        return list(signature(ONESHOT[self.criterion]).parameters)

    @property
    def _made(self) -> OneShot:
        given = {name: getattr(self, name, None) for name in self._settings}
        made = ONESHOT[self.criterion]
        return made(**{name: value for name, value in given.items() if value is not None})

    @property
    def _goal(self) -> Sparsity | None:
        return self.sparsity if self.granularity.sparsity is None else self.granularity.sparsity

    def _quota(self, layers: Sequence[Layer]) -> Quota:
        assert self._goal is not None
        default = "uniform" if ONESHOT[self.criterion].layerwise else "global"
        return self.spread(self.allocation or default, layers, self._goal, self.granularity)
