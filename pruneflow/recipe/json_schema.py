"""The recipe language as a JSON Schema, made from its own declarations, for editors.

It takes every recipe that is right. Of the wrong ones it refuses those whose mistake shows in the
file and in one field: names, words, units, ranges. What it takes to see more than that (other
files, the network, two fields that do not go together) stays with ``pruneflow recipes check``.
"""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from pruneflow.modifiers import MODIFIERS, Modifier
from pruneflow.modifiers.fields import (
    Duration,
    Schema,
    TargetsKind,
    any_of,
    declared_fields,
    referable,
    schema_of,
)
from pruneflow.modifiers.fields.base import REFERENCE
from pruneflow.recipe import library
from pruneflow.recipe.schema import TOP_LEVEL
from pruneflow.registry import summary

DRAFT = "http://json-schema.org/draft-07/schema#"
FILE = "recipe.schema.json"
COMMENT = "Recipes of PruneFlow; written by `pruneflow recipes schema`."

_NAME = r"[A-Za-z_][\w-]*"
_FILE = r"[A-Za-z][^\s.:@$]*"
_NULL: Schema = {"type": "null"}
_MAPPING: Schema = {"type": ["object", "string"], "pattern": REFERENCE["pattern"]}


def recipe_schema() -> Schema:
    """A JSON Schema, draft 7, of recipe files and of the fragments in ``recipes/_parts/``.

    A file is a recipe if it has ``modifiers`` or ``defaults``, or no key that a recipe has not.
    """
    plain = {"propertyNames": {"enum": [*TOP_LEVEL]}}
    return {
        "$schema": DRAFT,
        "$comment": COMMENT,
        "type": "object",
        "if": any_of({"required": ["modifiers"]}, {"required": ["defaults"]}, plain),
        "then": _see("recipe"),
        "else": _see("part"),
        "definitions": {
            "recipe": _recipe(),
            "modifier": _modifier(),
            "part": _part(),
            "any": _closed({name: _any_field(name) for name in _field_names()}),
            **{f"word-{name}": _word(MODIFIERS[name]) for name in MODIFIERS},
        },
    }


def _recipe() -> Schema:
    """A recipe; where it builds on another file, a modifier need not be whole."""
    others = {"type": "array", "contains": {"not": {"const": "_self_"}}}
    part = {"additionalProperties": _see("part")}
    whole = {"additionalProperties": _see("modifier"), "minProperties": 1}
    return {
        **_closed(_top_level()),
        "if": {"required": ["defaults"], "properties": {"defaults": others}},
        "then": {"properties": {"modifiers": part}},
        "else": {"properties": {"modifiers": whole}, "required": ["modifiers"]},
    }


def _top_level() -> dict[str, Schema]:
    length, targets = Duration(), TargetsKind()
    known: dict[str, Schema] = {
        "defaults": {"description": "the recipes and fragments it builds on", **_defaults()},
        "length": _value("how long `pruneflow train` trains", length.label, length.schema()),
        "vars": _value("free names and values, for ${vars.NAME}", "", {"type": "object"}),
        "targets": _value("which layers", targets.label, targets.schema()),
        "modifiers": {
            "description": "what happens to the weights, and when: {NAME: {type: ...}, ...}",
            "propertyNames": _whole(_NAME),
            **_MAPPING,
        },
    }
    return {key: known.get(key) or _knob(key) for key in TOP_LEVEL}


def _knob(key: str) -> Schema:
    """A key that stands in for the fields of its name."""
    text = f"what ${{{key}}} means; `{key}=` on the command line wins"
    return {**_any_field(key), "description": text}


def _defaults() -> Schema:
    recipe = any_of({"enum": [*library.names(), "_self_"]}, _whole(_FILE))
    fragment = any_of({"enum": library.names(parts=True)}, _whole(_FILE), _NULL)
    group = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "propertyNames": _whole(rf"(_parts|{_FILE})(@modifiers(\.{_NAME})?)?"),
        "additionalProperties": fragment,
    }
    entries = {"type": "array", "uniqueItems": True, "items": any_of(recipe, group)}
    return any_of(entries, _NULL)


def _modifier() -> Schema:
    """A modifier with all that it needs."""
    needs = {
        name: [f.name for f in declared_fields(MODIFIERS[name]) if f.default is MISSING]
        for name in MODIFIERS
    }
    rules = [_if_type(name, {"required": names}) for name, names in needs.items() if names]
    return {"required": ["type"], **_of_a_word(*rules)}


def _part() -> Schema:
    """A modifier as far as one file tells it: a fragment, or what changes a parent's."""
    return _of_a_word({"if": {"required": ["type"]}, "else": _see("any")})


def _of_a_word(*rules: Schema) -> Schema:
    meanings = [summary(MODIFIERS[name]) for name in MODIFIERS]
    words = referable({"enum": [*MODIFIERS], "enumDescriptions": meanings})
    fields_of = [_if_type(name, _see(f"word-{name}")) for name in MODIFIERS]
    type_ = {"description": "what it is: a word of the language", **words}
    return {**_MAPPING, "properties": {"type": type_}, "allOf": [*fields_of, *rules]}


def _if_type(name: str, then: Schema) -> Schema:
    typed = {"type": "object", "properties": {"type": {"const": name}}, "required": ["type"]}
    return {"if": typed, "then": then}


def _word(cls: type[Modifier]) -> Schema:
    parts = {declared.name: _field(declared) for declared in declared_fields(cls)}
    return {"description": summary(cls), **_closed({"type": {"const": cls.type}, **parts})}


def _field(declared: Field[Any]) -> Schema:
    kind, doc = declared.metadata["kind"], declared.metadata["doc"]
    if declared.default is MISSING:
        return _value(doc, kind.label, schema_of(kind), required=True)
    schema = _value(doc, kind.label, schema_of(kind))
    if declared.default in (None, ()):
        return schema
    return {**schema, "default": kind.render(declared.default)}


def _field_names() -> list[str]:
    found = (declared.name for name in MODIFIERS for declared in declared_fields(MODIFIERS[name]))
    return list(dict.fromkeys(found))


def _any_field(name: str) -> Schema:
    """What any word takes in its field of this name."""
    found = {
        word: _field(declared)
        for word in MODIFIERS
        for declared in declared_fields(MODIFIERS[word])
        if declared.name == name
    }
    text = "\n".join(f"{word}: {field['description']}" for word, field in found.items())
    values = [{key: field[key] for key in field if key == "anyOf"} for field in found.values()]
    return {"description": text, **any_of(*values)}


def _value(doc: str, label: str, schema: Schema, required: bool = False) -> Schema:
    """A value that a person may refer to, and leave out by ``null`` where it is not required."""
    values = referable(schema) if required else any_of(schema, REFERENCE, _NULL)
    return {"description": f"{doc}\n{label}".strip(), **values}


def _closed(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _whole(pattern: str) -> Schema:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _see(definition: str) -> Schema:
    return {"$ref": f"#/definitions/{definition}"}
