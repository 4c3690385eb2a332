"""The kinds of value a modifier's field may have: how each is read, written back and described.

A kind reads what YAML gave (``parse``), raising a ``ValueError`` that says what to write, and
turns the value back into YAML (``render``), so that ``parse(render(value)) == value``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, Protocol

from pruneflow.errors import did_you_mean
from pruneflow.pruning.scope import Targets
from pruneflow.timeline import Moment, Time, parse_moment, parse_time


class Kind(Protocol):
    """How a field's value is read, written back and described."""

    @property
    def label(self) -> str:
        """A few words for documentation: the unit, the range, the choices."""

    def parse(self, value: Any) -> Any:
        """The value that YAML's plain ``value`` means."""

    def render(self, value: Any) -> Any:
        """The plain value that ``parse`` reads back."""


def option(kind: Kind, doc: str, default: Any = MISSING) -> Any:
    """A dataclass field that a recipe may set.

    Args:
        kind: How the value is read.
        doc: One line for ``pruneflow recipes show TYPE``.
        default: The value where the recipe says nothing; without it the field is required.
    """
    return field(default=default, metadata={"kind": kind, "doc": doc})


@dataclass(frozen=True)
class Duration:
    """A time with its unit."""

    label: str = "time: 3ep, 400st or 30%"

    def parse(self, value: Any) -> Time:
        return parse_time(value)

    def render(self, value: Time) -> str:
        return str(value)


@dataclass(frozen=True)
class Instant:
    """A time, or another modifier's edge."""

    label: str = "time: 3ep, 400st, 30% or NAME.end"
    words: tuple[tuple[str, Time], ...] = ()

    def parse(self, value: Any) -> Moment:
        words = dict(self.words)
        return words[value] if isinstance(value, str) and value in words else parse_moment(value)

    def render(self, value: Moment) -> str:
        named = {time: word for word, time in self.words}
        return named.get(value, str(value)) if isinstance(value, Time) else str(value)


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
        return {str(key): _within(str(key), self.number, part) for key, part in value.items()}

    def render(self, value: float | dict[str, float]) -> Any:
        return dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class TimeTable:
    """Values at moments: ``{2ep: 0.5, 4ep: 0.8}``."""

    number: Number
    label: str = "{time: number, ...}"

    def parse(self, value: Any) -> tuple[tuple[Time, float], ...]:
        if not isinstance(value, Mapping) or not value:
            raise ValueError("needs 'time: value' pairs, e.g. {2ep: 0.5, 4ep: 0.9}")
        return tuple(
            (parse_time(key), _within(str(key), self.number, part)) for key, part in value.items()
        )

    def render(self, value: tuple[tuple[Time, float], ...]) -> dict[str, float]:
        return {str(time): part for time, part in value}


@dataclass(frozen=True)
class Times:
    """A list of times."""

    label: str = "[time, ...]"

    def parse(self, value: Any) -> tuple[Time, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence) or not value:
            raise ValueError(f"needs a list of times, e.g. [2ep, 4ep]; got '{value}'")
        return tuple(parse_time(item) for item in value)

    def render(self, value: tuple[Time, ...]) -> list[str]:
        return [str(time) for time in value]


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


@dataclass(frozen=True)
class TargetsKind:
    """A choice of layers."""

    label: str = "{types: [...], names: [...], ignore: [...]} or [name pattern, ...]"

    def parse(self, value: Any) -> Targets:
        patterns = Patterns()
        if not isinstance(value, Mapping):
            return Targets(names=patterns.parse(value))
        known = ("types", "names", "ignore")
        for key in value:
            if key not in known:
                raise ValueError(f"no field '{key}' in targets.{did_you_mean(key, known, True)}")
        return Targets(**{key: patterns.parse(part) for key, part in value.items()})

    def render(self, value: Targets) -> dict[str, list[str]]:
        parts = {"types": value.types, "names": value.names, "ignore": value.ignore}
        return {key: list(part) for key, part in parts.items() if part}


def _within(key: str, kind: Kind, value: Any) -> Any:
    try:
        return kind.parse(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
