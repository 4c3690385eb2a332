"""Lending: learning rates and weight decays that a modifier owns for a span."""

from __future__ import annotations

from typing import Any

import torch
from torch.optim import Optimizer

from pruneflow.errors import TrainingError
from pruneflow.modifiers.duties import DecaySpan, RateSpan
from pruneflow.network import Network
from pruneflow.operations.rates import note_own_rates
from pruneflow.recipe.plan import Plan

_SETTINGS = ("lr", "weight_decay")


class Lending:
    """Sets what modifiers own right before an update, and gives the module's own back after it.

    So a scheduler of the module goes on as if nothing had been.

    Args:
        plan: Who owns what, and when.
        network: Whose optimizers.
    """

    def __init__(self, plan: Plan, network: Network) -> None:
        self.plan = plan
        self.network = network
        self._decays = plan.duties_of(DecaySpan)
        self._rates = plan.rate_spans
        self._lent: dict[int, list[dict[str, Any]]] = {}

    @property
    def rate(self) -> float:
        """The rate of the next update (or the run's last), in the first optimizer's first group."""
        if not self.network.optimizers:
            return float("nan")
        optimizer = self.network.optimizers[0]
        span = self._rate_span()
        if span is None:
            return float(optimizer.param_groups[0]["lr"])
        return span.rate(self._clock, self._own_rates(span, optimizer)[0])

    def settle(self) -> None:
        """Right before an update: keep the rates of this moment as those that are taken over."""
        span = self._rate_span()
        if span is not None and span.start == self._clock:
            note_own_rates(self.network, span.modifier)

    def lend(self, optimizer: Optimizer) -> None:
        """Set an optimizer's groups for the update that begins.

        Raises:
            TrainingError: It has no weight decay to be set.
        """
        self.give_back(optimizer)  # lent still where a closure raised
        groups = optimizer.param_groups
        self._lent[id(optimizer)] = [
            {key: group[key] for key in _SETTINGS if key in group} for group in groups
        ]
        span = self._rate_span()
        if span is not None:
            for group, own in zip(groups, self._own_rates(span, optimizer), strict=True):
                rate = span.rate(self._clock, own)
                lr = group["lr"]
                group["lr"] = torch.full_like(lr, rate) if isinstance(lr, torch.Tensor) else rate
        clock = self.network.state.clock
        decay = next((duty for duty in self._decays if duty.covers(clock)), None)
        if decay is not None:
            if not all("weight_decay" in group for group in groups):
                raise TrainingError(
                    f"modifiers.{decay.modifier}: {type(optimizer).__name__} has no weight decay"
                )
            everything = [group for one in self.network.optimizers for group in one.param_groups]
            none_decays = not any(group.get("weight_decay") for group in everything)
            for group in groups:
                if group["weight_decay"] or none_decays:
                    group["weight_decay"] = decay.decay(group["weight_decay"])

    def give_back(self, optimizer: Optimizer) -> None:
        """Put back what was lent."""
        kept = self._lent.pop(id(optimizer), ())
        for group, own in zip(optimizer.param_groups, kept, strict=False):
            group.update(own)

    @property
    def _clock(self) -> int:
        """The learning-rate clock of the next update; after the last one, of that."""
        state = self.network.state
        return state.rate_clock - int(state.clock >= self.plan.total)

    def _rate_span(self) -> RateSpan | None:
        clock = self._clock
        return next((span for span in self._rates if span.covers(clock)), None)

    def _own_rates(self, span: RateSpan, optimizer: Optimizer) -> list[float]:
        """The module's own rate of each group; a group added since has what it has now."""
        noted = self.network.state.own_rates.get(span.modifier, [])
        index = self.network.optimizers.index(optimizer)
        kept = noted[index] if index < len(noted) else []
        return kept + [float(group["lr"]) for group in optimizer.param_groups[len(kept) :]]
