"""Numbers, counts and choices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruneflow.errors import did_you_mean
from pruneflow.modifiers.fields.base import Schema, referable, within
from pruneflow.registry import Registry, summary


@dataclass(frozen=True)
class Number:
    """A number inside a range."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False
    hint: str = ""

    @property
    def label(self) -> str:
        low = "" if self.low == -math.inf else f"{'above' if self.above else 'from'} {self.low:g}"
        high = "" if self.high == math.inf else f"{'below' if self.below else 'to'} {self.high:g}"
        return " ".join(word for word in ("number", low, high) if word)

    def parse(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            hint = f" ({self.hint})" if self.hint else ""
            raise ValueError(f"needs a number, got '{value}'{hint}")
        too_low = value < self.low or (self.above and value == self.low)
        too_high = value > self.high or (self.below and value == self.high)
        if too_low or too_high or not math.isfinite(value):
            hint = f" ({self.hint})" if self.hint and 1 < value <= 100 else ""
            raise ValueError(f"{value:g} is outside the range: {self.label}{hint}")
        return float(value)

    def render(self, value: float) -> float:
        return value

    def schema(self) -> Schema:
        low = {"exclusiveMinimum" if self.above else "minimum": self.low}
        high = {"exclusiveMaximum" if self.below else "maximum": self.high}
        limits = (low if self.low > -math.inf else {}) | (high if self.high < math.inf else {})
        return {"type": "number"} | limits


@dataclass(frozen=True)
class Count:
    """A whole number."""

    low: int = 0

    @property
    def label(self) -> str:
        return f"whole number from {self.low}"

    def parse(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"needs a whole number, got '{value}'")
        if value < self.low:
            raise ValueError(f"{value} is below {self.low}")
        return value

    def render(self, value: int) -> int:
        return value

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.low}


@dataclass(frozen=True)
class Choice:
    """One of some words; any iterable of names serves, a registry too."""

    names: Any

    @property
    def label(self) -> str:
        return " | ".join(self.names)

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.names:
            raise ValueError(
                f"'{value}' is not a known value.{did_you_mean(value, self.names, True)}"
            )
        return value

    def render(self, value: str) -> str:
        return value

    def schema(self) -> Schema:
        meanings = (
            {"enumDescriptions": [summary(self.names[name]) for name in self.names]}
            if isinstance(self.names, Registry)
            else {}
        )
        return {"enum": list(self.names)} | meanings


PERCENT_HINT = "90 % is written 0.9"
SPARSITY = Number(0, 1, below=True, hint=PERCENT_HINT)
FRACTION = Number(0, 1, above=True, below=True, hint="20 % is written 0.2")


@dataclass(frozen=True)
class PerLayer:
    """A number, or one for each pattern of layers."""

    number: Number

    @property
    def label(self) -> str:
        return f"{self.number.label}, or {{pattern: number, default: number}}"

    def parse(self, value: Any) -> float | dict[str, float]:
        if not isinstance(value, Mapping):
            return self.number.parse(value)
        if not value:
            raise ValueError("needs a number, or at least one 'pattern: number'")
        return {str(key): within(str(key), self.number, part) for key, part in value.items()}

    def render(self, value: float | dict[str, float]) -> Any:
        return dict(value) if isinstance(value, Mapping) else value

    def schema(self) -> Schema:
        number = self.number.schema()
        parts = {"additionalProperties": referable(number), "minProperties": 1}
        return number | parts | {"type": ["number", "object"]}
