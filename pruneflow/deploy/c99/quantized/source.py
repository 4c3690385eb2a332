"""The ``.c`` of a quantized network: one function for inputs in bytes, one for floats."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from pruneflow.deploy.c99.arrays import TYPES, array
from pruneflow.deploy.c99.quantized.calls import IntegerCalls
from pruneflow.deploy.c99.quantized.functions import IntegerFunctions
from pruneflow.deploy.c99.quantized.rows import first_sums
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit
from pruneflow.deploy.c99.source import classify
from pruneflow.deploy.graphs.graph import Node


def integer_source_of(unit: QuantizedUnit) -> str:
    """The C file; the same bytes for the same network."""
    functions = IntegerFunctions(TYPES[unit.count.name])
    calls = IntegerCalls(unit, functions)
    copied = list(calls.begun("int8_copy")) if unit.is_framed else []
    quantized = list(calls.begun("int8_quantize"))
    lines = [line for one in unit.program.passes[1:] for line in calls.of(one)]
    layers = [node for node in unit.program.graph.nodes if node.weight is not None]
    constants = [text for node in layers for text in _arrays(unit, node)]
    name = unit.name
    headers = ["float.h", *(["math.h"] if "softmax" in functions else []), "stdint.h"]
    parts = [
        f'#include "{name}.h"\n',
        "".join(f"#include <{header}>\n" for header in headers),
        functions.text,
        "".join([*constants, *calls.structures]),
        _layers(unit, lines),
        _run(unit, "int8_t", f"{name}_run_int8", copied),
        _run(unit, "float", f"{name}_run", quantized),
    ]
    return "\n".join([*parts, classify(name)] if unit.classifies else parts)


def _layers(unit: QuantizedUnit, lines: list[str]) -> str:
    """All passes but the one that makes bytes of the input."""
    code = (line for line in lines if not line.startswith("/*"))
    is_used = any(re.search(r"\bnumbers\b", line) for line in code)
    numbers = [] if is_used else ["    (void)numbers;"]
    body = [*numbers, *(f"    {line}" for line in lines)]
    given = "" if unit.is_framed else " const int8_t *input,"
    head = f"static void {unit.name}_layers(int8_t *numbers,{given} float *output)"
    return "\n".join([head, "{", *body, "}", ""])


def _run(unit: QuantizedUnit, kind: str, function: str, begun: list[str]) -> str:
    """A function that takes an input of a type."""
    name = unit.name
    offset = unit.memory.results[unit.given].offset
    bytes_at = "input" if kind == "int8_t" else f"numbers + {offset}" if offset else "numbers"
    given = "" if unit.is_framed else f", {bytes_at}"
    body = [
        "    int8_t *const numbers = workspace->numbers;",
        *(f"    {line}" for line in begun),
        f"    {name}_layers(numbers{given}, output);",
    ]
    head = f"void {function}({name}_workspace *workspace, const {kind} *input, float *output)"
    return "\n".join([head, "{", *body, "}", ""])


def _arrays(unit: QuantizedUnit, node: Node) -> Iterator[str]:
    label, weight, rows = unit.labels[node.name], unit.weights[node.name], unit.rows[node.name]
    if weight.counts is not None and weight.index is not None:
        yield array(f"{label}_counts", weight.counts.astype(unit.count))
        yield array(f"{label}_index", weight.index)
    yield array(f"{label}_values", weight.entries)
    finish = unit.finishes.get(node.name)
    yield array(f"{label}_bias", first_sums(rows, finish).astype(np.int32))
    if finish is None:
        yield array(f"{label}_units", rows.units.astype(np.float32))
        return
    yield array(f"{label}_factors", finish.factors.astype(np.uint16))
    yield array(f"{label}_shifts", finish.shifts.astype(np.uint8))
    if len(finish.other):
        yield array(f"{label}_added", finish.other.astype(np.uint16))
        yield array(f"{label}_added_shifts", finish.other_shifts.astype(np.uint8))
