"""What the ``.h`` of a quantized network says beyond that of any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pruneflow.deploy.c99.arrays import number
from pruneflow.deploy.c99.header import More, comment_of, header_of
from pruneflow.deploy.c99.quantized.unit import QuantizedUnit


def integer_header_of(unit: QuantizedUnit, preprocessing: Mapping[str, Any] | None = None) -> str:
    """The header.

    Args:
        unit: The network.
        preprocessing: What has to be done to an input first.
    """
    name, upper = unit.name, unit.name.upper()
    given = unit.quantities[unit.given]
    about = (
        "Results are bytes, each tensor with a scale and a zero point of its own: from the input "
        "in bytes to the sums of the last layer everything is whole numbers, and the same bits on "
        "every processor."
    )
    bytes_of_input = comment_of(
        f"An input in bytes: a number is {upper}_INPUT_SCALE * (byte - {upper}_INPUT_ZERO), and "
        f"what lies outside is the nearest byte. {name}_run makes such bytes of its input first."
    )
    arguments = f"{name}_workspace *workspace, const int8_t *input, float *output"
    declared = (
        f"{bytes_of_input}#define {upper}_INPUT_SCALE {number(given.scale)}\n"
        f"#define {upper}_INPUT_ZERO ({given.zero})\n"
        f"void {name}_run_int8({arguments});\n"
    )
    return header_of(unit, preprocessing, More(("stdint.h",), (about,), (declared,)))
