"""Patterns of layers' names, and choices of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pruneflow.errors import did_you_mean
from pruneflow.modifiers.fields.base import Schema
from pruneflow.pruning.scope import Targets

PARTS = ("types", "names", "ignore")


@dataclass(frozen=True)
class Patterns:
    """A name pattern or a list of them."""

    label: str = "[name pattern, ...]"

    def parse(self, value: Any) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, Sequence) or not all(isinstance(item, str) for item in items):
            raise ValueError(f"needs a name pattern or a list of them, got '{value}'")
        return tuple(items)

    def render(self, value: tuple[str, ...]) -> list[str]:
        return list(value)

    def schema(self) -> Schema:
        return {"type": ["string", "array"], "items": {"type": "string"}}


@dataclass(frozen=True)
class TargetsKind:
    """A choice of layers."""

    label: str = "{types: [...], names: [...], ignore: [...]} or [name pattern, ...]"

    def parse(self, value: Any) -> Targets:
        patterns = Patterns()
        if not isinstance(value, Mapping):
            return Targets(names=patterns.parse(value))
        for key in value:
            if key not in PARTS:
                raise ValueError(f"no field '{key}' in targets.{did_you_mean(key, PARTS, True)}")
        return Targets(**{key: patterns.parse(part) for key, part in value.items()})

    def render(self, value: Targets) -> dict[str, list[str]]:
        parts = {"types": value.types, "names": value.names, "ignore": value.ignore}
        return {key: list(part) for key, part in parts.items() if part}

    def schema(self) -> Schema:
        patterns = Patterns().schema()
        parts = {"properties": dict.fromkeys(PARTS, patterns), "additionalProperties": False}
        return patterns | parts | {"type": ["string", "array", "object"]}
