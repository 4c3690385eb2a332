"""Numbers as C's constants: every float reads back, and no array is empty."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pruneflow.deploy.c99.arrays import WIDTH, array, number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@example(1.1754944e-38)
@example(1e-45)
@example(8.589973e9)
@example(9.007199e15)
@example(-0.0)
def test_a_number_reads_back_as_the_same_float(value: float) -> None:
    text = number(value)
    assert re.fullmatch(r"-?\d+\.\d+(e[+-]\d+)?f", text)
    read = np.float32(text.removesuffix("f"))
    assert read.tobytes() == np.float32(value).tobytes()


@given(st.lists(st.integers(-128, 127), max_size=200))
def test_an_array_has_its_numbers_in_lines_that_fit(values: list[int]) -> None:
    text = array("x", np.array(values, np.int8))
    head, *lines, end, last = text.split("\n")
    count = max(len(values), 1)  # C has no array without elements
    assert head == f"static const int8_t x[{count}] = {{"
    assert (end, last) == ("};", "")
    assert [int(word) for word in re.findall(r"-?\d+", " ".join(lines))] == (values or [0])
    assert max(map(len, lines)) <= WIDTH
