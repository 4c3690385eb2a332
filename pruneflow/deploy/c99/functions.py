"""The C functions that a network needs, each once, in an order in which they can be compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "c"

NEEDS: Mapping[str, tuple[str, ...]] = {
    "clamp_all": ("clamp",),
    "add": ("clamp",),
    "max_pool": ("pool",),
    "average_pool": ("pool",),
    "linear_dense": ("clamp",),
    "linear_csr16": ("clamp",),
    "linear_gaps8": ("clamp",),
}
"""Functions and types that others use."""

TYPES: Mapping[str, str] = {"fp32": "float", "fp16": "uint16_t", "int8": "int8_t"}
"""What a value is in C, by its codec."""
READS: Mapping[str, str] = {
    "fp32": "*values++",
    "fp16": "half(*values++)",
    "int8": "(float)*values++",
}
GIVEN: Mapping[str, str] = {
    "dense": "c, values",
    "csr16": "count, index, values",
    "gaps8": "c, count, index, values",
}
"""What a convolution's lanes are given of its weights."""
INDEX: Mapping[str, str] = {"csr16": "uint16_t", "gaps8": "uint8_t"}

LANES = (16, 8, 4, 1)
"""Neighbouring outputs that are summed at once: as many as registers hold, then what is left."""


class Functions:
    """The functions that were asked for.

    Args:
        count: The C type of the number of weights of a row.
    """

    def __init__(self, count: str) -> None:
        self.count = count
        self._texts: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._texts

    @property
    def text(self) -> str:
        """All of them."""
        return "\n".join(self._texts.values())

    def plain(self, name: str) -> str:
        """A function, or types, that are the same for all networks."""
        for needed in NEEDS.get(name, ()):
            self.plain(needed)
        self._texts.setdefault(name, _read(name))
        return name

    def linear(self, layout: str, values: str) -> str:
        """The function that multiplies a vector by weights in a layout, of values of a codec."""
        name = f"linear_{layout}_{values}"
        self._needs(values, *NEEDS[f"linear_{layout}"])
        is_scaled = values == "int8"
        more = {
            "count": self.count,
            "scales": " const float *scales," if is_scaled else "",
            "scaled": " * scales[r]" if is_scaled else "",
        }
        return self._fill(f"linear_{layout}", name, values, more)

    def conv(self, layout: str, values: str, strided: bool, widths: Iterable[int]) -> str:
        """The function that computes an output plane.

        Args:
            layout: Of the weights.
            values: Their codec.
            strided: Whether neighbouring outputs look at inputs that are no neighbours.
            widths: Of the outputs of all convolutions that use it.
        """
        name = f"conv_{layout}_{values}{'_strided' if strided else ''}"
        self._needs(values, "conv")
        is_scaled = values == "int8"
        calls = []
        for lanes in sorted({part for width in widths for part in lanes_of(width)}, reverse=True):
            one = f"{name}_{lanes}"
            step = strided and lanes > 1
            at = [f"at[{f'{i} * step' if step and i else i}]" for i in range(lanes)]
            given = " factor," if is_scaled else ""
            sums = [f"s{i} = 0.0f" for i in range(lanes)]
            more = {
                "lanes": str(lanes),
                "step": " uint32_t step," if step else "",
                "factor": " float factor," if is_scaled else "",
                "sums": "\n".join(f"float {line};" for line in _lines(sums, ", ")),
                "adds": "\n".join(
                    _lines([f"s{i} += weight * {at[i]};" for i in range(lanes)], " ")
                ),
                "stores": "\n".join(
                    _lines(
                        [f"to[{i}] += {'factor * ' * is_scaled}s{i};" for i in range(lanes)], " "
                    )
                ),
            }
            self._fill(f"conv_{layout}_lanes", one, values, more)
            loop = f"for (; x + {lanes} <= c->out_width; x += {lanes})"
            where = "input + x * c->stride_x, c->stride_x" if step else "input + x"
            where = "input + x * c->stride_x" if strided and not step else where
            calls += [
                f"        {loop}",
                f"            {one}({GIVEN[layout]}, {where},{given} to + x);",
            ]
        index = f" uint32_t count, const {INDEX[layout]} *index," if layout in INDEX else ""
        more = {
            "counted": index,
            "factor": " float factor," if is_scaled else "",
            "calls": "\n".join(calls),
        }
        return self._fill("conv_plane", name, values, more)

    def _needs(self, values: str, *names: str) -> None:
        for needed in (*names, *(("half",) if values == "fp16" else ())):
            self.plain(needed)

    def _fill(self, text: str, name: str, values: str, more: Mapping[str, str]) -> str:
        tokens = {"name": name, "value": TYPES[values], "read": READS[values], **more}
        self._texts.setdefault(name, _filled(_read(text), tokens))
        return name


def lanes_of(width: int) -> list[int]:
    """How a row of outputs is taken apart."""
    found = []
    for lanes in LANES:
        found += [lanes] * (width // lanes)
        width %= lanes
    return found


def _filled(text: str, tokens: Mapping[str, str]) -> str:
    """A text with its tokens replaced; lines of one keep the indentation of its place."""

    def replaced(found: re.Match[str]) -> str:
        indent = found[1] or ""
        return indent + tokens[found[2]].replace("\n", "\n" + indent)

    return re.sub(r"(?:^( +))?@(\w+)@", replaced, text, flags=re.MULTILINE)


def _lines(words: list[str], between: str) -> list[str]:
    """Statements or declarators, four in a line."""
    return [between.join(words[i : i + 4]) for i in range(0, len(words), 4)]


def _read(name: str) -> str:
    return (FOLDER / f"{name}.c").read_text(encoding="utf-8")
