"""JSON from a stranger, read with types: what is unlike its description is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pruneflow.errors import DataError

LARGEST = 1e18
"""No count of bytes or microseconds is larger; beyond it a picture's arithmetic overflows."""


@dataclass(frozen=True)
class Record:
    """An object of a JSON file.

    Attributes:
        values: Its members.
        where: The file, and the way to this object in it.
    """

    values: Mapping[str, object]
    where: str

    @classmethod
    def of(cls, value: object, where: str) -> Record:
        """Take a value for an object.

        Raises:
            DataError: It is none.
        """
        if not isinstance(value, Mapping):
            raise DataError(f"{where}: is damaged: needs an object, not {_shown(value)}")
        return cls(value, where)

    def has(self, key: str) -> bool:
        """Whether a member is there and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A member that is text; ``default`` where it is absent.

        Raises:
            DataError: It is something else, or absent without a default.
        """
        if default is not None and not self.has(key):
            return default
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self._unlike(key, "text")
        return value

    def shown(self, key: str) -> str:
        """A member of any kind as a person would write it; empty where it is absent."""
        return _fact(self.values[key]) if self.has(key) else ""

    def number(self, key: str) -> float:
        """A member that is a finite number.

        Raises:
            DataError: It is none.
        """
        value = _number(self.values.get(key))
        if value is None:
            raise self._unlike(key, "a number")
        return value

    def optional(self, key: str) -> float | None:
        """A number, or None where it is absent."""
        return self.number(key) if self.has(key) else None

    def truth(self, key: str) -> bool:
        """A member that is true or false.

        Raises:
            DataError: It is neither.
        """
        value = self.values.get(key)
        if not isinstance(value, bool):
            raise self._unlike(key, "true or false")
        return value

    def record(self, key: str) -> Record:
        """A member that is an object; an absent one is empty."""
        value = self.values.get(key)
        return Record.of({} if value is None else value, self._place(key))

    def records(self, key: str) -> list[Record]:
        """A member that is a list of objects; an absent one is empty."""
        return [
            Record.of(value, f"{self._place(key)}[{place}]")
            for place, value in enumerate(self._list(key))
        ]

    def named(self, key: str) -> dict[str, Record]:
        """A member that is an object of objects; an absent one is empty."""
        inner = self.record(key)
        return {name: inner.record(name) for name in inner.values}

    def amounts(self, key: str) -> dict[str, float]:
        """A member that is an object of numbers; an absent one is empty."""
        inner = self.record(key)
        return {name: inner.number(name) for name in inner.values}

    def numbers(self, key: str) -> list[float]:
        """A member that is a list of numbers; an absent one is empty."""
        found = [_number(value) for value in self._list(key)]
        if None in found:
            raise self._unlike(key, "a list of numbers")
        return [value for value in found if value is not None]

    def facts(self, key: str) -> dict[str, str]:
        """An object's members, each as a person would write it; null ones are left out."""
        inner = self.record(key)
        return {name: _fact(value) for name, value in inner.values.items() if value is not None}

    def _list(self, key: str) -> list[object]:
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            raise self._unlike(key, "a list")
        return value or []

    def _place(self, key: str) -> str:
        return f"{self.where}{': ' if self.where.endswith('.json') else '.'}{key}"

    def _unlike(self, key: str, need: str) -> DataError:
        have = _shown(self.values.get(key))
        return DataError(f"{self._place(key)}: is damaged: needs {need}, not {have}")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= LARGEST else None  # not-a-number is not either


def _fact(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_fact(inner) for inner in value)
    return value if isinstance(value, str) else _shown(value)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
