"""The ``.h`` of a network: all that a program needs to know of it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pruneflow.deploy.c99.identifiers import comment
from pruneflow.deploy.c99.unit import Unit
from pruneflow.deploy.graphs.graph import INPUT


@dataclass(frozen=True)
class More:
    """What a kind of units has to say beyond others.

    Attributes:
        headers: That its types are from.
        about: Sentences.
        declared: Declarations.
    """

    headers: tuple[str, ...] = ()
    about: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()


def header_of(
    unit: Unit, preprocessing: Mapping[str, Any] | None = None, more: More | None = None
) -> str:
    """The header.

    Args:
        unit: The network.
        preprocessing: What has to be done to an input first.
        more: What else it says.
    """
    more = more or More()
    name, upper = unit.name, unit.name.upper()
    size = max(unit.memory.size, 1)
    parts = [
        comment_of(*_about(unit, preprocessing), *more.about),
        f"#ifndef {upper}_H\n#define {upper}_H\n",
        *(f"#include <{header}>\n" for header in more.headers),
        '#ifdef __cplusplus\nextern "C" {\n#endif\n',
        f"#define {upper}_INPUTS {unit.inputs}\n"
        f"#define {upper}_OUTPUTS {unit.outputs}\n"
        f"#define {upper}_WORKSPACE_BYTES {unit.workspace_bytes}\n",
        comment_of(
            "Memory for one run at a time, of the caller's choosing: static, on the stack, on a "
            "heap. What is in it before and after a run does not matter. Runs with a workspace of "
            "their own may go side by side."
        )
        + f"typedef struct {{\n    {unit.number} numbers[{size}];\n}} {name}_workspace;\n",
        comment_of(
            f"Writes {upper}_OUTPUTS numbers for {upper}_INPUTS numbers. Neither overlaps the "
            "other or the workspace."
        )
        + f"void {name}_run({name}_workspace *workspace, const float *input, float *output);\n",
        *more.declared,
    ]
    if unit.classifies:
        parts.append(
            comment_of("The class with the largest output, from 0; the first among equals.")
            + f"int {name}_classify({name}_workspace *workspace, const float *input);\n"
        )
    return "\n".join([*parts, "#ifdef __cplusplus\n}\n#endif\n", "#endif\n"])


def _about(unit: Unit, preprocessing: Mapping[str, Any] | None) -> list[str]:
    shape = unit.program.layouts[INPUT].shape
    order = "channel by channel, each row by row" if len(shape) == 3 else "in order"
    flash = sum(unit.bytes.values())
    needs = "expf of the C library's libm" if unit.uses_expf else "no library but the compiler's"
    kept = sum(int((one.entries != 0).sum()) for one in unit.weights.values())
    total = sum(one.coded.codes.size for one in unit.weights.values())
    ends_in_softmax = unit.program.passes[-1].node.op == "softmax"
    values = ", ".join(sorted({one.coded.values for one in unit.weights.values()}))
    return [
        f"{unit.name}: a network pruned and written by PruneFlow. {kept} of {total} weights are "
        f"left, stored as {values}.",
        f"Input: {' x '.join(map(str, shape))} float numbers, {order}.",
        f"Preprocessing: {_words(preprocessing)}.",
        f"Output: {unit.outputs} float numbers{', probabilities' if ends_in_softmax else ''}.",
        f"RAM: {unit.workspace_bytes} bytes of workspace, besides {4 * unit.inputs} of "
        f"input and {4 * unit.outputs} of output; no other memory but the stack.",
        f"Flash: {flash} bytes of weights and biases, and code.",
        f"Needs: a C99 compiler with IEEE floats, {needs}. It allocates nothing and keeps nothing.",
        "Compile with -std=c99 -O2 -ffp-contract=fast (-Os for the least flash).",
    ]


def _words(preprocessing: Mapping[str, Any] | None) -> str:
    if not preprocessing:
        return "as in training; none is known"
    return ", then ".join(
        f"{key.removeprefix('then_').replace('_', ' ')} {json.dumps(value)}"
        for key, value in preprocessing.items()
    )


def comment_of(*paragraphs: str) -> str:
    """A comment of C."""
    lines = [
        line
        for text in paragraphs
        for line in textwrap.wrap(comment(text), 94, subsequent_indent="  " * (len(paragraphs) > 1))
    ]
    return "/* " + "\n * ".join(lines) + " */\n"
