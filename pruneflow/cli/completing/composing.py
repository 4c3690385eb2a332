"""The recipe that a command line makes, as a plain tree: composed without Hydra.

What is read here serves to name keys and values. It follows Hydra as far as these go: parents,
fragments and overrides, in their order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pruneflow.cli.completing.keys import merged
from pruneflow.errors import RecipeError
from pruneflow.recipe import library
from pruneflow.recipe.source import parse_source

_SETS = re.compile(r"\+{0,2}recipe\.([\w.-]+)=(.*)", re.DOTALL)
_DELETES = re.compile(r"~recipe\.([\w.-]+).*")
_PLACES = re.compile(r"\+{0,2}recipe/_parts@recipe\.([\w.-]+)=(\w+)")
_INNER_KEY = re.compile(r"[{,]\s*[\w-]+:")

Tree = dict[str, Any]


def composed(asked: str, given: Sequence[str]) -> tuple[Tree, list[str]]:
    """A recipe's tree, and where it takes in fragments.

    Args:
        asked: The value of ``recipe=``; where it names several, each adds its keys.
        given: The other words of the line, of which some change the recipe.

    Returns:
        Plain mappings, lists and scalars, references as they stand; and the places of fragments,
        such as ``modifiers.finetune``, which another fragment may take.

    Raises:
        RecipeError: One of the recipes cannot be read.
    """
    placed = {match[1]: match[2] for word in given if (match := _PLACES.fullmatch(word))}
    places: list[str] = []
    tree: Tree = {}
    for name in reversed(_names(asked)):
        tree = merged(tree, _whole(name, placed, places))
    for place, fragment in placed.items():
        tree = merged(tree, _at(place, library.load(f"{library.PARTS}/{fragment}").tree))
    for word in given:
        if match := _SETS.fullmatch(word):
            tree = merged(tree, _at(match[1], _value(match[2])))
        elif match := _DELETES.fullmatch(word):
            tree = _without(tree, match[1].split("."))
    return tree, list(dict.fromkeys(places))


def _names(asked: str) -> list[str]:
    text = asked.strip("'\"")
    return [text] if library.find(text) else [name for name in text.split(",") if name]


def _whole(name: str, placed: Mapping[str, str], places: list[str]) -> Tree:
    """A recipe with all it builds on; ``placed`` fragments stand where its own would."""
    tree = dict(library.load(name).tree)
    entries = list(tree.pop("defaults", None) or ())
    own = [item for entry in entries if isinstance(entry, dict) for item in entry.items()]
    chosen = {key.partition("@")[2]: fragment for key, fragment in own} | dict(placed)
    whole: Tree = {}
    for entry in entries if "_self_" in entries else ["_self_", *entries]:
        if entry == "_self_":
            whole = merged(whole, tree)
        elif isinstance(entry, str):
            whole = merged(whole, _whole(entry, chosen, places))
        else:
            group, _, place = next(iter(entry)).partition("@")
            places.append(place)
            if chosen[place] is not None:
                part = library.load(f"{group}/{chosen[place]}").tree
                whole = merged(whole, _at(place, part))
    return whole


def _at(place: str, value: Any) -> Tree:
    """A tree that holds a value at a dotted place."""
    for name in reversed(place.split(".")):
        value = {name: value}
    return value  # type: ignore[no-any-return]


def _without(tree: Mapping[str, Any], path: Sequence[str]) -> Tree:
    """The tree without what stands at a path."""
    name, *rest = path
    kept = {key: value for key, value in tree.items() if key != name or rest}
    if rest and isinstance(kept.get(name), Mapping):
        kept[name] = _without(kept[name], rest)
    return kept


def _value(text: str) -> Any:
    """A value of the command line; Hydra's mappings need no space behind a colon, YAML's do."""
    spaced = _INNER_KEY.sub(r"\g<0> ", text) if text.startswith("{") else text
    with suppress(RecipeError):
        return parse_source(f"value: {spaced}", "").tree["value"]
    return text
