"""The kinds of value a modifier's field may have: how each is read, written back and described.

A kind reads what YAML gave (``parse``), raising a ``ValueError`` that says what to write, and
turns the value back into YAML (``render``), so that ``parse(render(value)) == value``. Its
``schema`` tells editors what ``parse`` takes.
"""

from __future__ import annotations

from pruneflow.modifiers.fields.base import (
    Kind,
    Schema,
    any_of,
    declared_fields,
    option,
    referable,
    schema_of,
)
from pruneflow.modifiers.fields.files import TensorFile
from pruneflow.modifiers.fields.granularity import GranularityKind
from pruneflow.modifiers.fields.layers import Patterns, TargetsKind
from pruneflow.modifiers.fields.modules import ModuleName
from pruneflow.modifiers.fields.numbers import (
    FRACTION,
    PERCENT_HINT,
    SPARSITY,
    Choice,
    Count,
    Number,
    PerLayer,
)
from pruneflow.modifiers.fields.times import Duration, Instant, Times, TimeTable

__all__ = [
    "FRACTION",
    "PERCENT_HINT",
    "SPARSITY",
    "Choice",
    "Count",
    "Duration",
    "GranularityKind",
    "Instant",
    "Kind",
    "ModuleName",
    "Number",
    "Patterns",
    "PerLayer",
    "Schema",
    "TargetsKind",
    "TensorFile",
    "TimeTable",
    "Times",
    "any_of",
    "declared_fields",
    "option",
    "referable",
    "schema_of",
]
