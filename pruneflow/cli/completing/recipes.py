"""The keys of a recipe, its modifiers and their fields included; and recipes by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field
from typing import Any

from pruneflow.cli.completing.conf import head
from pruneflow.cli.completing.keys import Key, Words, key_of, spelled
from pruneflow.modifiers import MODIFIERS
from pruneflow.modifiers.fields import Kind, Schema, TargetsKind, declared_fields, schema_of
from pruneflow.recipe import library
from pruneflow.recipe.references import mentions
from pruneflow.recipe.schema import KNOBS, TOP_LEVEL
from pruneflow.registry import summary
from pruneflow.timeline import Anchor


def named(parts: bool = False) -> Words:
    """Recipes, or fragments, by name."""
    folder = f"{library.PARTS}/" if parts else ""
    found = {name: library.find(folder + name) for name in library.names(parts)}
    return {name: head(path) for name, path in found.items() if path is not None}


def types() -> Words:
    """The words of the language."""
    return {name: summary(MODIFIERS[name]) for name in sorted(MODIFIERS)}


class Recipe:
    """The keys of a recipe.

    Args:
        tree: Composed; empty while none is named.
    """

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree = tree
        entries = tree.get("modifiers")
        written = entries.items() if isinstance(entries, Mapping) else ()
        self.modifiers = {name: part for name, part in written if isinstance(part, Mapping)}

    def keys(self) -> dict[str, Key]:
        """Everything below ``recipe``."""
        kept = {name: Key(str(part.get("type", "")), {}, self._fields(name, part), False)
                for name, part in self.modifiers.items()}  # fmt: skip
        known = {
            "length": Key("how long it trains", spelled(self.tree.get("length"))),
            **self.knobs(),
            "vars": key_of(self.tree.get("vars") or {}),
            "targets": _key(TargetsKind(), "which layers", self.tree.get("targets")),
            "modifiers": Key("what happens, and when", below=kept, takes_value=False),
        }
        return {name: known[name] for name in TOP_LEVEL if name in known}

    def knobs(self) -> dict[str, Key]:
        """``sparsity=`` and the like, as far as the recipe refers to them."""
        used = [name for name in KNOBS if not self.tree or mentions(self.tree, name)]
        return {name: self._knob(name) for name in used}

    def _knob(self, name: str) -> Key:
        """It may be what a field may be that refers to it, or else one of its name."""
        value = self.tree.get(name)
        uses = [field for part in self.modifiers.values() for field in _declared(part)
                if part.get(field.name) == f"${{{name}}}"]  # fmt: skip
        known = [field for word in MODIFIERS for field in declared_fields(MODIFIERS[word])
                 if field.name == name]  # fmt: skip
        for field in (*uses, *known):
            return _key(field.metadata["kind"], field.metadata["doc"], value)
        return key_of(value)

    def _fields(self, name: str, part: Mapping[str, Any]) -> dict[str, Key]:
        edges = [f"{other}.{edge}" for other in self.modifiers if other != name
                 for edge in ("start", "end")]  # fmt: skip
        found = {"type": Key("a word of the language", types())}
        for field in _declared(part):
            kind, value = field.metadata["kind"], part.get(field.name)
            if value is None and field.default not in (MISSING, None, ()):
                value = kind.render(field.default)
            found[field.name] = _key(kind, field.metadata["doc"], value, edges)
        return found


def _declared(part: Mapping[str, Any]) -> Iterator[Field[Any]]:
    """The fields of a modifier, by its type."""
    name = part.get("type")
    if isinstance(name, str) and name in MODIFIERS:
        yield from declared_fields(MODIFIERS[name])


def _key(kind: Kind, doc: str, value: Any, edges: Sequence[str] = ()) -> Key:
    """A field: the words of its kind, else the value it has; and other modifiers' edges."""
    schemas = list(_alternatives(schema_of(kind)))
    words: Words = {}
    below: dict[str, Key] = {}
    for schema in schemas:
        names = schema.get("enum", ())
        meanings = schema.get("enumDescriptions") or [""] * len(names)
        words |= dict(zip(map(str, names), meanings, strict=True))
        words |= {"true": "", "false": ""} if schema.get("type") == "boolean" else {}
        below |= {name: Key() for name in schema.get("properties", ())}
    if isinstance(value, Mapping):
        below |= key_of(value).below
    words |= {edge: "" for edge in edges if _is_anchor(kind, edge)}
    return Key(doc, words if _is_closed(schemas) else spelled(value) | words, below)


def _alternatives(schema: Schema) -> Iterator[Schema]:
    yield schema
    for part in schema.get("anyOf", ()):
        yield from _alternatives(part)


def _is_closed(schemas: Sequence[Schema]) -> bool:
    """Whether only the words that are listed may be written."""
    return len(schemas) == 1 and "enum" in schemas[0]


def _is_anchor(kind: Kind, text: str) -> bool:
    with suppress(ValueError):
        return isinstance(kind.parse(text), Anchor)
    return False
