"""Names that recipes may use, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from pruneflow.errors import did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A closed vocabulary: registering a name twice or asking for an unknown one raises.

    Args:
        noun: What an entry is, in the singular; used in messages.
        entry_point_group: Installed packages may add entries under this entry-point group.
            They are imported the first time the vocabulary is read.
    """

    def __init__(self, noun: str, entry_point_group: str | None = None) -> None:
        self.noun = noun
        self._entries: dict[str, T] = {}
        self._pending_group = entry_point_group

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: give the decorated object its name."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.noun} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        self._load_entry_points()
        try:
            return self._entries[name]
        except KeyError:
            hint = did_you_mean(name, self._entries, always=True)
            raise KeyError(f"unknown {self.noun} '{name}'.{hint}") from None

    def __contains__(self, name: object) -> bool:
        self._load_entry_points()
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        self._load_entry_points()
        return iter(self._entries)

    def _load_entry_points(self) -> None:
        group, self._pending_group = self._pending_group, None
        if group is not None:
            for point in entry_points(group=group):
                point.load()


def summary(documented: Any) -> str:
    """The first line of a docstring as plain words."""
    return (documented.__doc__ or "").partition("\n")[0].replace("`", "")
