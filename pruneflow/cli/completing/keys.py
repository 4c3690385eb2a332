"""What may be set on a command line, as a tree of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Words = dict[str, str]
"""Words that may stand next, and what each means in a line, or ''."""


@dataclass(frozen=True)
class Key:
    """A key of the configuration.

    Attributes:
        meaning: What it is, in a line.
        words: The values it may have, or the one it has.
        below: The keys inside it, if it is a mapping.
        takes_value: Whether it may be given a value itself: ``model=`` besides ``model.args``.
    """

    meaning: str = ""
    words: Words = field(default_factory=dict)
    below: Mapping[str, Key] = field(default_factory=dict)
    takes_value: bool = True

    def find(self, path: Iterable[str]) -> Key | None:
        """The key at a path from here, or None."""
        here: Key | None = self
        for name in path:
            here = here.below.get(name) if here is not None else None
        return here

    def offers(self, stem: str = "") -> Words:
        """The keys below as a person goes on to write them, each after ``stem``."""
        found: Words = {}
        for name, key in self.below.items():
            found |= {f"{stem}{name}=": key.meaning} if key.takes_value else {}
            found |= {f"{stem}{name}.": key.meaning} if key.below else {}
        return found


def key_of(value: Any) -> Key:
    """The key that now has this value."""
    if isinstance(value, Mapping):
        below = {str(name): key_of(part) for name, part in value.items()}
        return Key(below=below, takes_value=False)
    return Key(words=spelled(value))


def spelled(value: Any) -> Words:
    """The value a key has as a person writes it; nothing for what takes more than a word."""
    if isinstance(value, bool):
        return {"true": "", "false": ""}
    if isinstance(value, int | float):
        return {str(value): ""}
    return {value: ""} if isinstance(value, str) and value and "${" not in value else {}


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees as one; where they differ, the other's value counts."""
    tree = dict(one)
    for name, value in other.items():
        old = tree.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        tree[name] = value
    return tree
