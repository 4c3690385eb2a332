"""A granularity in every form that is registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pruneflow.modifiers.fields.base import Schema, any_of
from pruneflow.pruning.granularities import GRANULARITIES, Granularity
from pruneflow.registry import Registry


@dataclass(frozen=True)
class GranularityKind:
    """What is pruned together."""

    names: Registry[type[Granularity]] = GRANULARITIES

    @property
    def label(self) -> str:
        return " | ".join(self.names[name].form for name in self.names)

    def parse(self, value: Any) -> Granularity:
        for name in self.names:
            if (found := self.names[name].read(value)) is not None:
                return found
        raise ValueError(f"'{value}' is no granularity; write {self.label}")

    def render(self, value: Granularity) -> Any:
        return value.write()

    def schema(self) -> Schema:
        return any_of(*(dict(self.names[name].schema) for name in self.names))
