"""From a composed tree of plain values to a ``Recipe``, with every mistake named and placed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from difflib import get_close_matches
from typing import Any, NamedTuple

from pruneflow.errors import Problem, RecipeError, did_you_mean
from pruneflow.modifiers import MODIFIERS, Modifier
from pruneflow.modifiers.fields import Duration, Kind, TargetsKind, declared_fields
from pruneflow.pruning.scope import Targets
from pruneflow.recipe.declaration import Locate, Recipe, nowhere
from pruneflow.timeline import Anchor

TOP_LEVEL = ("defaults", "length", "sparsity", "control", "vars", "targets", "modifiers")
KNOBS = ("sparsity", "control")
"""Keys that mean what the recipe's references make of them: ``sparsity=0.5`` on a command line."""

MAX_MODIFIERS = 100

_NAME = re.compile(r"[A-Za-z_][\w-]*")

Path = tuple[str, ...]


class Found(NamedTuple):
    """A mistake: the path of its key, what is wrong, and whether that is the key itself."""

    path: Path
    text: str
    is_key: bool = False


def build(
    tree: Any, name: str = "recipe", locate: Locate = nowhere, locate_key: Locate | None = None
) -> Recipe:
    """Check a tree and make a recipe of it.

    Args:
        tree: Plain mappings, lists and scalars, references resolved.
        name: How the recipe was asked for.
        locate: Finds the file and line where a key's value was written.
        locate_key: Finds those of the key itself, where they are others.

    Raises:
        RecipeError: With every mistake found, each at its place.
    """
    if not isinstance(tree, Mapping):
        raise RecipeError(Problem(locate(()), "a recipe is a mapping: 'modifiers: ...'"))
    found = list(_unknown_keys(tree))
    if not isinstance(tree.get("vars") or {}, Mapping):
        text = f"needs names and values such as {{lr: 0.1}}, got '{tree['vars']}'"
        found.append(Found(("vars",), text))
    length = _value(tree, "length", Duration(), found)
    targets = _value(tree, "targets", TargetsKind(), found)
    modifiers = dict(_modifiers(tree.get("modifiers"), found))
    found += _broken_anchors(modifiers, tree.get("modifiers"))
    if found:
        raise RecipeError([_problem(each, locate, locate_key or locate) for each in found])
    return Recipe(name, modifiers, length, targets or Targets(), locate)


def unknown_keys(tree: Mapping[str, Any], locate: Locate) -> list[Problem]:
    """The keys at a recipe's root that mean nothing; its references need not be resolved."""
    return [_problem(found, locate, locate) for found in _unknown_keys(tree)]


def _unknown_keys(tree: Mapping[str, Any]) -> Iterator[Found]:
    for key in tree:
        if key not in TOP_LEVEL:
            hint = did_you_mean(key, [k for k in TOP_LEVEL if k != "defaults"], always=True)
            text = f"unknown key '{key}'.{hint} Free names live under 'vars:'."
            yield Found((key,), text, is_key=True)


def _value(tree: Mapping[str, Any], key: str, kind: Kind, found: list[Found]) -> Any:
    if tree.get(key) is None:
        return None
    try:
        return kind.parse(tree[key])
    except ValueError as error:
        found.append(Found((key,), str(error)))
        return None


def _modifiers(tree: Any, found: list[Found]) -> Iterator[tuple[str, Modifier]]:
    example = "'prune: {type: prune, sparsity: 0.9}'"
    if not isinstance(tree, Mapping) or not tree:
        got = "a list" if isinstance(tree, list) else "nothing" if not tree else f"'{tree}'"
        found.append(Found(("modifiers",), f"needs named entries such as {example}, got {got}"))
        return
    if len(tree) > MAX_MODIFIERS:
        text = f"are {len(tree)}, more than the {MAX_MODIFIERS} allowed"
        found.append(Found(("modifiers",), text))
        return
    for name, values in tree.items():
        path = ("modifiers", str(name))
        if not _NAME.fullmatch(str(name)):
            text = "a modifier's name is a word of letters, digits, '_' and '-'"
            found.append(Found(path, text, is_key=True))
        if not isinstance(values, Mapping):
            found.append(Found(path, f"needs a mapping such as {example}, got '{values}'"))
        elif values.get("type") is None:
            others = [other for other in tree if other != name]
            near = get_close_matches(str(name), others, 1)
            hint = f" Or did you mean '{near[0]}'?" if near else ""
            text = f"'type' is missing.{did_you_mean('', MODIFIERS, True)}{hint}"
            slips = get_close_matches("type", [key.lower() for key in values], 1)
            slip = [key for key in values if key.lower() in slips and "type" not in values]
            if slip:
                text = f"unknown key '{slip[0]}'. Did you mean 'type'?"
            found.append(Found((*path, *slip[:1]), text, is_key=bool(slip)))
        elif not isinstance(values["type"], str) or values["type"] not in MODIFIERS:
            hint = did_you_mean(values["type"], MODIFIERS, always=True)
            found.append(Found((*path, "type"), f"unknown type '{values['type']}'.{hint}"))
        elif (modifier := _modifier(str(name), values, found)) is not None:
            yield str(name), modifier


def _modifier(name: str, values: Mapping[str, Any], found: list[Found]) -> Modifier | None:
    cls = MODIFIERS[values["type"]]
    path = ("modifiers", name)
    declared = {field.name: field for field in declared_fields(cls)}
    before = len(found)
    parsed: dict[str, Any] = {}
    for key, value in values.items():
        if key == "type":
            continue
        if key not in declared:
            hint = did_you_mean(key, declared, always=True)
            text = f"'{cls.type}' has no field '{key}'.{hint}"
            found.append(Found((*path, str(key)), text, is_key=True))
        elif value is not None:
            try:
                parsed[key] = declared[key].metadata["kind"].parse(value)
            except ValueError as error:
                found.append(Found((*path, key), str(error)))
    for key, declaration in declared.items():
        if declaration.default is MISSING and values.get(key) is None:
            text = f"required field '{key}' is missing ({declaration.metadata['doc']})"
            found.append(Found(path, text))
    if len(found) > before:
        return None
    modifier = cls(name, **parsed)
    found += [Found((*path, key) if key else path, text) for key, text in modifier.check()]
    return modifier


def _broken_anchors(modifiers: Mapping[str, Modifier], names: Any) -> Iterator[Found]:
    for name, modifier in modifiers.items():
        for declared in declared_fields(modifier):
            anchor = getattr(modifier, declared.name)
            if isinstance(anchor, Anchor) and anchor.modifier not in names:
                hint = did_you_mean(anchor.modifier, names, always=True)
                text = f"'{anchor}' refers to no modifier of this recipe.{hint}"
                yield Found(("modifiers", name, declared.name), text)


def _problem(found: Found, locate: Locate, locate_key: Locate) -> Problem:
    place = (locate_key if found.is_key else locate)(found.path)
    return Problem(place, f"{'.'.join(found.path)}: {found.text}" if found.path else found.text)
