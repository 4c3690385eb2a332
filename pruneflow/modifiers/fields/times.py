"""Times, and lists and tables of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pruneflow.modifiers.fields.base import Schema, any_of, referable, within
from pruneflow.modifiers.fields.numbers import Number
from pruneflow.timeline import Moment, Time, parse_moment, parse_time

# Time as ``timeline`` reads it, in what all dialects of regular expressions have in common.
_TIME = r"\d+(\.\d+)?\s*ep|\d+(\.0+)?\s*st|0*(100(\.0+)?|\d{1,2}(\.\d+)?)\s*%"
_ANCHOR = r"[A-Za-z_][^\s.]*\.(start|end)"


def _text(pattern: str, label: str) -> Schema:
    whole = rf"^\s*({pattern})\s*$"
    return {"type": "string", "pattern": whole, "patternErrorMessage": f"needs a {label}"}


@dataclass(frozen=True)
class Duration:
    """A time with its unit."""

    label: str = "time: 3ep, 400st or 30%"

    def parse(self, value: Any) -> Time:
        return parse_time(value)

    def render(self, value: Time) -> str:
        return str(value)

    def schema(self) -> Schema:
        return _text(_TIME, self.label)


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

    def schema(self) -> Schema:
        moment = _text(f"{_TIME}|{_ANCHOR}", self.label)
        return any_of({"enum": [*dict(self.words)]}, moment) if self.words else moment


@dataclass(frozen=True)
class TimeTable:
    """Values at moments: ``{2ep: 0.5, 4ep: 0.8}``."""

    number: Number
    label: str = "{time: number, ...}"

    def parse(self, value: Any) -> tuple[tuple[Time, float], ...]:
        if not isinstance(value, Mapping) or not value:
            raise ValueError("needs 'time: value' pairs, e.g. {2ep: 0.5, 4ep: 0.9}")
        return tuple(
            (parse_time(key), within(str(key), self.number, part)) for key, part in value.items()
        )

    def render(self, value: tuple[tuple[Time, float], ...]) -> dict[str, float]:
        return {str(time): part for time, part in value}

    def schema(self) -> Schema:
        return {
            "type": "object",
            "minProperties": 1,
            "propertyNames": Duration().schema(),
            "additionalProperties": referable(self.number.schema()),
        }


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

    def schema(self) -> Schema:
        return {"type": "array", "minItems": 1, "items": referable(Duration().schema())}
