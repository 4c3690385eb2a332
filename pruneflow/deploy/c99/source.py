"""The ``.c`` of a network: functions, the constants they are for, and the calls in order."""

from __future__ import annotations

from collections.abc import Iterator

from pruneflow.deploy.c99.arrays import TYPES, array
from pruneflow.deploy.c99.calls import Calls
from pruneflow.deploy.c99.functions import Functions
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.graphs.graph import Node


def source_of(unit: Unit) -> str:
    """The C file; the same bytes for the same network."""
    functions = Functions(TYPES[unit.count.name])
    calls = Calls(unit, functions)
    lines = [line for one in unit.program.passes for line in calls.of(one)]
    layers = [node for node in unit.program.graph.nodes if node.weight is not None]
    constants = [text for node in layers for text in _arrays(unit, node)]
    name = unit.name
    headers = ["float.h", *(["math.h"] if "softmax" in functions else []), "stddef.h", "stdint.h"]
    body = [
        "    float *const numbers = workspace->numbers;"
        if unit.memory.size
        else "    (void)workspace;",
        *(f"    {line}" for line in lines),
    ]
    parts = [
        f'#include "{name}.h"\n',
        "".join(f"#include <{header}>\n" for header in headers),
        functions.text,
        "".join([*constants, *calls.structures]),
        f"void {name}_run({name}_workspace *workspace, const float *input, float *output)",
        "\n".join(["{", *body, "}", ""]),
    ]
    return "\n".join([*parts, classify(name)] if unit.classifies else parts)


def _arrays(unit: Unit, node: Node) -> Iterator[str]:
    label, weight = unit.labels[node.name], unit.weights[node.name]
    if weight.counts is not None and weight.index is not None:
        yield array(f"{label}_counts", weight.counts.astype(unit.count))
        yield array(f"{label}_index", weight.index)
    yield array(f"{label}_values", weight.entries)
    if weight.coded.scales is not None:
        yield array(f"{label}_scales", weight.coded.scales)
    if node.name in unit.biases:
        yield array(f"{label}_bias", unit.biases[node.name])


def classify(name: str) -> str:
    """The function that names a class."""
    return f"""\
int {name}_classify({name}_workspace *workspace, const float *input)
{{
    float output[{name.upper()}_OUTPUTS];
    int best = 0;
    {name}_run(workspace, input, output);
    for (int i = 1; i < {name.upper()}_OUTPUTS; i++)
        if (output[i] > output[best]) best = i;
    return best;
}}
"""
