"""What a kind of value is, and how a dataclass field gets one."""

from __future__ import annotations

from dataclasses import MISSING, Field, field, fields
from typing import Any, Protocol

Schema = dict[str, Any]
"""A fragment of JSON Schema, draft 7: the draft that editors of YAML know best."""

REFERENCE: Schema = {
    "type": "string",
    "pattern": r"\$\{[^{}]+\}",
    "patternErrorMessage": "or a reference: ${sparsity}, ${vars.name}",
}


class Kind(Protocol):
    """How a field's value is read, written back and described."""

    @property
    def label(self) -> str:
        """A few words for documentation: the unit, the range, the choices."""

    def parse(self, value: Any) -> Any:
        """The value that YAML's plain ``value`` means."""

    def render(self, value: Any) -> Any:
        """The plain value that ``parse`` reads back."""

    def schema(self) -> Schema:
        """Every value that ``parse`` takes, for editors; of what it refuses, as much as can be."""


def option(kind: Kind, doc: str, default: Any = MISSING) -> Any:
    """A dataclass field that a recipe may set.

    Args:
        kind: How the value is read.
        doc: One line for ``pruneflow recipes show TYPE``.
        default: The value where the recipe says nothing; without it the field is required.
    """
    return field(default=default, metadata={"kind": kind, "doc": doc})


def declared_fields(declaration: Any) -> list[Field[Any]]:
    """The fields that a recipe may set, of a modifier or its class."""
    return [declared for declared in fields(declaration) if "kind" in declared.metadata]


def schema_of(kind: Kind) -> Schema:
    """A kind's schema; one written without any may be given anything."""
    return kind.schema() if hasattr(kind, "schema") else {}


def any_of(*schemas: Schema) -> Schema:
    """The values of any of these schemas."""
    parts = [part for one in schemas for part in (one["anyOf"] if [*one] == ["anyOf"] else [one])]
    unique = [part for at, part in enumerate(parts) if part not in parts[:at]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def referable(schema: Schema) -> Schema:
    """The values of ``schema``, or a reference to one."""
    return any_of(schema, REFERENCE)


def within(key: str, kind: Kind, value: Any) -> Any:
    """Read a part of a value; its mistake names the part."""
    try:
        return kind.parse(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
