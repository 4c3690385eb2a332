"""Resolve ``${plain.references}`` against the recipe's own root, within bounded time and size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pruneflow.errors import Problem, RecipeError, did_you_mean
from pruneflow.recipe.declaration import Locate
from pruneflow.recipe.source import REFERENCE, KeyPath

MAX_NODES = 20_000
MAX_TEXT = 4_096
MAX_HOPS = 16
ROOT = "recipe"


def anchored(value: Any) -> Any:
    """The same tree with every reference spelled from ``recipe`` on, as Hydra reads it."""
    if isinstance(value, dict):
        return {key: anchored(part) for key, part in value.items()}
    if isinstance(value, list):
        return [anchored(part) for part in value]
    if isinstance(value, str):
        return REFERENCE.sub(rf"${{{ROOT}.\1}}", value)
    return value


def mentions(tree: Any, name: str) -> bool:
    """Whether anything in the tree refers to the top-level key ``name``."""
    if isinstance(tree, Mapping):
        return any(mentions(part, name) for part in tree.values())
    if isinstance(tree, list):
        return any(mentions(part, name) for part in tree)
    return isinstance(tree, str) and any(
        reference_keys(found)[0] == name for found in REFERENCE.findall(tree)
    )


def resolve(tree: Mapping[str, Any], locate: Locate) -> dict[str, Any]:
    """Replace every reference by what it refers to.

    Raises:
        RecipeError: A reference leads nowhere or to itself, or the result is too big.
    """
    return _Resolver(tree, locate).value(tree, (), ())  # type: ignore[no-any-return]


def reference_keys(reference: str) -> list[str]:
    """The path that a reference names, seen from the recipe's own root."""
    keys = reference.split(".")
    return keys[1:] if keys[0] == ROOT and len(keys) > 1 else keys


class _Resolver:
    def __init__(self, root: Mapping[str, Any], locate: Locate) -> None:
        self.root = root
        self.locate = locate
        self.nodes = 0

    def value(self, value: Any, path: KeyPath, pending: tuple[str, ...]) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.fail(path, "references make the recipe too big")
        if isinstance(value, Mapping):
            return {k: self.value(v, (*path, str(k)), pending) for k, v in value.items()}
        if isinstance(value, list):
            return [self.value(v, (*path, str(i)), pending) for i, v in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = REFERENCE.fullmatch(value)
        if whole:
            return self.refer(whole[1], path, pending)
        if "${" in REFERENCE.sub("", value):
            self.fail(path, f"'{value}': only plain references such as ${{sparsity}} are allowed")
        text = REFERENCE.sub(lambda m: self.text(m, path, pending), value)
        if len(text) > MAX_TEXT:
            self.fail(path, "references make this text too long")
        return text

    def text(self, match: re.Match[str], path: KeyPath, pending: tuple[str, ...]) -> str:
        part = self.refer(match[1], path, pending)
        if isinstance(part, dict | list):
            name = ".".join(reference_keys(match[1]))
            self.fail(path, f"${{{name}}} is not a single value; it cannot be part of a text")
        return str(part)

    def refer(self, reference: str, path: KeyPath, pending: tuple[str, ...]) -> Any:
        keys = reference_keys(reference)
        name = ".".join(keys)
        if len(pending) >= MAX_HOPS:
            self.fail(path, f"more than {MAX_HOPS} references lead from one to the next")
        if name in pending:
            self.fail(path, f"${{{name}}} refers to itself")
        value: Any = self.root
        for key in keys:
            if isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, Mapping) and key in value:
                value = value[key]
            else:
                hint = did_you_mean(name, _names(self.root))
                self.fail(path, f"${{{name}}} refers to nothing.{hint}")
        return self.value(value, tuple(keys), (*pending, name))

    def fail(self, path: KeyPath, message: str) -> None:
        where = ".".join(path)
        raise RecipeError(Problem(self.locate(path), f"{where}: {message}"))


def _names(tree: Mapping[str, Any]) -> list[str]:
    free = tree.get("vars")
    return [k for k in tree if k not in ("defaults", "modifiers", "vars")] + [
        f"vars.{key}" for key in (free if isinstance(free, Mapping) else ())
    ]
