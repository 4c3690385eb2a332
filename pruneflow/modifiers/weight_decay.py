"""``weight_decay``: own the weight decay for a span of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pruneflow.modifiers.base import modifier
from pruneflow.modifiers.duties import DecaySpan
from pruneflow.modifiers.fields import Number, option
from pruneflow.modifiers.site import Site
from pruneflow.modifiers.spanning import SpanModifier


@modifier("weight_decay")
@dataclass(frozen=True, kw_only=True)
class WeightDecay(SpanModifier):
    """Own the weight decay from ``start`` until ``end``; then the module's own goes on.

    Parameters that the module spares (those of groups without decay) are spared still, unless
    nothing decays by itself.
    """

    paper = "Krogh & Hertz 1991, NIPS 4"
    example = {"value": 0.1, "start": "1ep", "end": "3ep"}
    begins = "takes the weight decay"
    ends = "gives the weight decay back"

    value: float | None = option(Number(0), "the weight decay", None)
    factor: float | None = option(Number(0), "multiplies the module's own weight decay", None)

    @property
    def needs_whole(self) -> None:
        """See base class."""

    def check(self) -> Sequence[tuple[str, str]]:
        """See base class."""
        if (self.value is None) == (self.factor is None):
            return [("", "needs exactly one of 'factor' and 'value'")]
        return ()

    def duties(self, site: Site) -> Sequence[DecaySpan]:
        """See base class."""
        return [DecaySpan(self.name, *self.span(site), self._decay)]

    def _decay(self, own: float) -> float:
        if self.value is not None:
            return self.value
        assert self.factor is not None
        return own * self.factor
