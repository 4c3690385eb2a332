"""Loss terms: what modifiers add to the loss of a batch."""

from __future__ import annotations

import torch

from pruneflow.errors import TrainingError
from pruneflow.modifiers.duties import LossSpan
from pruneflow.network import Network
from pruneflow.recipe.plan import Plan


class LossTerms:
    """Those of a plan, each attached to the network while it is at work.

    Args:
        plan: Who adds what, and when.
        network: What they watch.
    """

    def __init__(self, plan: Plan, network: Network) -> None:
        self._network = network
        self._terms = [(span, span.term(network)) for span in plan.duties_of(LossSpan)]
        self._missing = False

    def follow(self) -> None:
        """Attach those that the next update is about, and let go of the others."""
        clock = self._network.state.clock
        self._missing = False
        for span, term in self._terms:
            if span.covers(clock):
                term.attach()
                self._missing = True
            else:
                term.detach()

    def add(self, loss: torch.Tensor, scale: float) -> torch.Tensor:
        """The loss with what is to be added now; one without a graph is left alone.

        Raises:
            TrainingError: The network has not given what a term needs.
        """
        if not loss.requires_grad:
            return loss
        for span, term in self._terms:
            if span.covers(self._network.state.clock):
                loss = term.add(loss, scale)
        self._missing = False
        return loss

    def require_added(self, how: str) -> None:
        """Make sure that they were added to a loss since the last step.

        Args:
            how: What adds them, for the message.

        Raises:
            TrainingError: They were not.
        """
        clock = self._network.state.clock
        span = next((span for span, _ in self._terms if span.covers(clock)), None)
        if span is not None and self._missing:
            raise TrainingError(
                f"modifiers.{span.modifier}: changes the loss, but no loss was passed through "
                f"{how} since the last step: write {how}.backward()"
            )

    def detach(self) -> None:
        """Let go of the network."""
        for _, term in self._terms:
            term.detach()
