"""``trainable``: some layers do not train for a span of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pruneflow.modifiers.base import TargetedModifier, modifier
from pruneflow.modifiers.duties import GradientSpan
from pruneflow.modifiers.events import Event
from pruneflow.modifiers.fields import Schema, option
from pruneflow.modifiers.site import Site
from pruneflow.modifiers.spanning import SpanModifier

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class OnlyFalse:
    """The value false: true is what holds outside of every span."""

    label: str = "false"

    def parse(self, value: Any) -> bool:
        if value is True:
            raise ValueError(
                "everything that the module trains is trainable already: write false, and in "
                "'end' when it trains again"
            )
        if value is not False:
            raise ValueError(f"can only be false, got '{value}'")
        return False

    def render(self, value: bool) -> bool:
        return value

    def schema(self) -> Schema:
        return {"enum": [False]}


@modifier("trainable")
@dataclass(frozen=True, kw_only=True)
class Trainable(SpanModifier, TargetedModifier):
    """Leave layers as they are from ``start`` until ``end``: no update moves them.

    A layer's name, or its type, means its bias too, and norms may be named like layers
    (``targets: ["*"]`` is the whole network). Neither momentum nor weight decay moves them;
    events still prune or rewind them, and running statistics of norms go on.
    """

    paper = "Yosinski et al. 2014, arXiv:1411.1792"
    example = {"value": False, "targets": ["fc1"], "start": "1ep", "end": "3ep"}
    begins = "stops training its layers"
    ends = "trains its layers again"

    value: bool = option(OnlyFalse(), "whether they train")

    @property
    def needs_whole(self) -> None:
        """See base class."""

    def events(self, site: Site) -> Sequence[Event]:
        """See base class."""
        self._names(site)
        return super().events(site)

    def duties(self, site: Site) -> Sequence[GradientSpan]:
        """See base class."""
        names = self._names(site)

        def change(parameters: Mapping[str, torch.nn.Parameter]) -> None:
            for name in names & parameters.keys():
                parameters[name].grad = None  # an optimizer passes it over

        return [GradientSpan(self.name, *self.span(site), change)]

    def _names(self, site: Site) -> frozenset[str]:
        chosen = site.chosen(self, [*site.layers, *site.known_vectors()])
        return frozenset(parameter.name for parameter in chosen)
