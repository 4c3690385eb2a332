"""A granularity in every form that is registered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pruneflow.modifiers.fields.base import Schema, any_of
from pruneflow.pruning.granularities import GRANULARITIES, Granularity
from pruneflow.registry import Registry


@dataclass(frozen=True)
class GranularityKind:
    """What is pruned together.

    Attributes:
        by_group: Whether groups of channels may be.
    """

    names: Registry[type[Granularity]] = GRANULARITIES
    by_group: bool = False

    @property
    def label(self) -> str:
        return " | ".join(kind.form for kind in self._kinds)

    def parse(self, value: Any) -> Granularity:
        for kind in self._kinds:
            if (found := kind.read(value)) is not None:
                return found
        raise ValueError(f"'{value}' is no granularity; write {self.label}")

    def render(self, value: Granularity) -> Any:
        return value.write()

    def schema(self) -> Schema:
        return any_of(*(dict(kind.schema) for kind in self._kinds))

    @property
    def _kinds(self) -> list[type[Granularity]]:
        kinds = [self.names[name] for name in self.names]
        return [kind for kind in kinds if self.by_group or not kind.by_group]
