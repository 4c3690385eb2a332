"""Text of a recipe with one key or value spoiled; the rest stays as its author laid it out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import yaml

Path = tuple[str, ...]


@dataclass(frozen=True)
class Spot:
    """A key of a recipe and its value, where they stand in the text.

    Attributes:
        path: The keys that lead to it, its own the last.
        key: Its node.
        value: Its value's node.
        is_flow: Whether it stands between braces.
    """

    path: Path
    key: yaml.ScalarNode
    value: yaml.Node
    is_flow: bool

    @property
    def line(self) -> int:
        """The line of the key, counted from 1."""
        return int(self.key.start_mark.line) + 1


@cache
def spots(text: str) -> tuple[Spot, ...]:
    """Every key of a recipe, the entries of its defaults list left out."""
    return tuple(_spots(yaml.compose(text, Loader=yaml.SafeLoader), ()))


def _spots(node: yaml.Node, path: Path) -> Iterator[Spot]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            yield Spot(here, key, value, bool(node.flow_style))
            if here != ("defaults",):
                yield from _spots(value, here)


def renamed(text: str, spot: Spot, name: str) -> str:
    """Another key in its place."""
    return _put(text, spot.key.start_mark.index, spot.key.end_mark.index, name)


def revalued(text: str, spot: Spot, value: str) -> str:
    """Another value in its place, written on the key's line."""
    start = text.index(":", spot.key.end_mark.index) + 1
    return _put(text, start, max(start, _end(text, spot)), f" {value}")


def removed(text: str, spot: Spot) -> str:
    """Without the key and its value."""
    start, end = spot.key.start_mark.index, _end(text, spot)
    if not spot.is_flow:
        return _put(text, text.rfind("\n", 0, start) + 1, _end_of_line(text, end), "")
    rest = text[end:]
    if rest.lstrip().startswith(","):
        return text[:start] + rest.lstrip()[1:].lstrip(" ")
    return text[:start].rstrip().removesuffix(",") + rest


def inserted(text: str, spot: Spot, entry: str) -> str:
    """With a new entry right before the key, on its line."""
    start = spot.key.start_mark.index
    apart = ", " if spot.is_flow else "\n" + " " * spot.key.start_mark.column
    return _put(text, start, start, f"{entry}{apart}")


def doubled(text: str, spot: Spot) -> tuple[str, int]:
    """With the key twice, and the line of the second."""
    name = text[spot.key.start_mark.index : spot.key.end_mark.index]
    return inserted(text, spot, f"{name}: 1"), spot.line + (not spot.is_flow)


def misspelled(word: str, chance: random.Random) -> str:
    """A slip of the finger in a word; always another word."""
    at = chance.randrange(len(word))
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at] * 2 + word[at + 1 :],
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
        word[:at] + chance.choice("abcxyz_-019é") + word[at:],
        word.replace("_", "-"),
        word.title(),
        word + "s",
        word.translate(str.maketrans("aeop", "аеор")),  # noqa: RUF001  (they only look alike)
    ]
    return chance.choice([slip for slip in slips if slip not in (word, "")] or [word + "x"])


def _put(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _end(text: str, spot: Spot) -> int:
    start, end = spot.value.start_mark.index, spot.value.end_mark.index
    if spot.value.id == "scalar" or spot.value.flow_style:
        return int(end)
    block = text[start:end].splitlines()  # comments and empty lines may follow it
    while block and (not block[-1].strip() or block[-1].lstrip().startswith("#")):
        block.pop()
    return int(start) + len("\n".join(block))


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end + 1
