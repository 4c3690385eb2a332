"""Numbers as C's constants."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pruneflow.deploy.c99.weights import Array

WIDTH = 100
"""Letters of a line."""

TYPES = {
    "float32": "float", "int8": "int8_t", "int32": "int32_t",
    "uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t",
}  # fmt: skip


def number(value: float) -> str:
    """The shortest decimal that reads back as the same float32."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0", exp_digits=1)
    plain = np.format_float_positional(np.float32(value), unique=True, trim="0")
    return f"{min(text, plain, key=len)}f"


def array(name: str, values: Array, is_static: bool = True) -> str:
    """A constant array; C has none without elements, so that an empty one holds a zero."""
    kind = TYPES[values.dtype.name]
    write = number if kind == "float" else str
    words = [write(value) for value in values.reshape(-1).tolist()] or [write(0)]
    head = f"{'static ' if is_static else ''}const {kind} {name}[{len(words)}] = {{"
    return "\n".join([head, *_lines(words), "};", ""])


def _lines(words: list[str]) -> Iterator[str]:
    line = "   "
    for word in words:
        if len(line) + len(word) + 2 > WIDTH:
            yield line
            line = "   "
        line += f" {word},"
    yield line
