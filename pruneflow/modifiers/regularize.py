"""``regularize``: a penalty presses weights to zero while the network trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pruneflow.modifiers.base import TargetedModifier, modifier
from pruneflow.modifiers.duties import GradientSpan
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Choice, Number, option
from pruneflow.modifiers.site import FieldError, Site
from pruneflow.modifiers.spanning import SpanModifier
from pruneflow.pruning.penalties import PENALTIES
from pruneflow.pruning.scope import BATCH_NORMS, Layer, Targets

if TYPE_CHECKING:
    import torch


@modifier("regularize")
@dataclass(frozen=True, kw_only=True)
class Regularize(SpanModifier, TargetedModifier):
    """Press weights to zero from ``start`` until ``end``: the loss gets a penalty.

    Its gradient joins that of the loss once an update, right before clipping. ``slimming`` is
    about the scales of all batch norms; ``targets`` or ``ignore`` here choose among those, and the
    recipe's own targets do not count. The loss that is logged is without the penalty.
    """

    paper = "Wen et al. 2016, arXiv:1608.03665; Liu et al. 2017, arXiv:1708.06519"
    example = {"kind": "l1", "strength": 0.01, "start": "1ep", "end": "3ep"}
    begins = "the penalty begins"
    ends = "the penalty ends"

    kind: str = option(Choice(PENALTIES), "what is small where many weights are zero")
    strength: float = option(Number(0, above=True), "multiplies the penalty")

    @property
    def needs_whole(self) -> tuple[str, Any] | None:
        """See base class."""
        return ("kind", self.kind) if self.kind == "group_lasso" else None

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        self._penalized(site)
        return super().events(site)

    def duties(self, site: Site) -> Sequence[GradientSpan]:
        """See base class."""
        names = frozenset(layer.name for layer in self._penalized(site))
        penalty = PENALTIES[self.kind]

        def change(parameters: Mapping[str, torch.nn.Parameter]) -> None:
            for name in names & parameters.keys():
                weight, gradient = parameters[name].detach(), parameters[name].grad
                assert gradient is not None
                gradient.add_(penalty(weight), alpha=self.strength)

        return [GradientSpan(self.name, *self.span(site), change)]

    def _penalized(self, site: Site) -> list[Layer]:
        if self.kind != "slimming":
            return site.chosen(self)
        scales = [vector for vector in site.known_vectors() if vector.is_scale and vector.trainable]
        if not scales:
            text = "'slimming' shrinks scales of batch norms, and this network has none that train"
            raise FieldError("kind", text)
        wanted = self.targets or Targets()
        if not wanted.types and not wanted.names:
            wanted = replace(wanted, types=BATCH_NORMS)
        return site.chosen(replace(self, targets=wanted), scales)
