"""The C functions that a network needs, each once, in an order in which they can be compiled."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from pruneflow.deploy.c99.blocks import Block, blocks_of, wide_blocks_of

FOLDER = Path(__file__).parent / "c"

NEEDS: Mapping[str, tuple[str, ...]] = {
    "clamp_all": ("clamp",),
    "add": ("clamp",),
    "max_pool": ("pool",),
    "max_pool_2x2": ("pool",),
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
"""What a block of a convolution is given of the weights."""
INDEX: Mapping[str, str] = {"csr16": "uint16_t", "gaps8": "uint8_t"}


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

    def conv(
        self, layout: str, values: str, strided: bool, sides: Iterable[tuple[int, int]]
    ) -> str:
        """The function that computes an output plane.

        Args:
            layout: Of the weights.
            values: Their codec.
            strided: Whether neighbouring outputs of a row look at inputs that are no neighbours.
            sides: Height and width of the outputs of all convolutions that use it.
        """
        name = f"conv_{layout}_{values}{'_strided' if strided else ''}"
        if name in self:
            return name
        self._needs(values, "conv")
        factor = "factor" if values == "int8" else ""
        sides = list(sides)
        wide = wide_blocks_of(sides) if layout == "csr16" and not strided else []
        blocks = sorted([*blocks_of(sides), *wide], reverse=True)
        for block in blocks:
            more = _block_tokens(block, strided, factor)
            is_wide = block.is_wide
            self._fill(f"conv_{layout}_block", f"{name}_{block.label}", values, more, is_wide)
        calls = loops(name, blocks, strided, layout, [factor] if factor else [], "")
        counted = f" uint32_t count, const {INDEX[layout]} *index," if layout in INDEX else ""
        more = {
            "counted": counted,
            "factor": " float factor," if factor else "",
            "calls": calls,
        }
        return self._fill("conv_plane", name, values, more)

    def _needs(self, values: str, *names: str) -> None:
        for needed in (*names, *(("half",) if values == "fp16" else ())):
            self.plain(needed)

    def _fill(
        self, text: str, name: str, values: str, more: Mapping[str, str], is_wide: bool = False
    ) -> str:
        tokens = {"name": name, "value": TYPES[values], "read": READS[values], **more}
        filled = _filled(_read(text), tokens)
        self._texts.setdefault(name, _gated(filled) if is_wide else filled)
        return name


def _block_tokens(block: Block, strided: bool, factor: str) -> dict[str, str]:
    """What the text of a block's function is filled with."""
    step = "step" if strided and block.columns > 1 else ""
    sums, adds, stores = [], [], []
    for row in range(block.rows):
        names = [f"s{row * block.columns + column}" for column in range(block.columns)]
        places = [place(column, step) for column in range(block.columns)]
        at = f"at{row}" if row else "at"
        if row:
            adds.append(f"const float *const {at} = at{row - 1 or ''} + row;")
            stores.append("to += pitch;")
        sums += [f"{name} = 0.0f" for name in names]
        pairs = zip(names, places, strict=True)
        adds += lines([f"{name} += weight * {at}[{place}];" for name, place in pairs], " ")
        scaled = f"{factor} * " if factor else ""
        stores += lines([f"to[{i}] += {scaled}{name};" for i, name in enumerate(names)], " ")
    parameters = [*(["row", "pitch"] if block.rows > 1 else []), *([step] if step else [])]
    return {
        "block": f"{block.rows} rows of {block.columns}" if block.rows > 1 else str(block.columns),
        "steps": "".join(f" uint32_t {name}," for name in parameters),
        "factor": f" float {factor}," if factor else "",
        "sums": "\n".join(f"float {line};" for line in lines(sums, ", ")),
        "adds": "\n".join(adds),
        "stores": "\n".join(stores),
    }


def loops(
    name: str,
    blocks: list[Block],
    strided: bool,
    layout: str,
    more: Sequence[str],
    last: str,
    by_rows: Sequence[str] = (),
) -> str:
    """The loops over a plane that call the functions of its blocks.

    Args:
        name: What those begin with.
        blocks: The largest first.
        strided: Whether neighbouring outputs of a row look at inputs that are no neighbours.
        layout: Of the weights.
        more: What every function is given before its output.
        last: What stands on the output's own line before it.
        by_rows: What functions of several rows are given besides.
    """
    groups = [list(mates) for _, mates in groupby(blocks, key=lambda block: block.columns)]
    x = "x * c->stride_x" if strided else "x"
    found = []
    for mates in groups:
        columns, only = mates[0].columns, all(block.is_wide for block in mates)
        text = [
            f"for (; x + {columns} <= c->out_width; x += {columns}) {{",
            "    uint32_t y = 0;",
        ]
        for block in mates:
            given = [GIVEN[layout], f"input + y * c->row + {x}"]
            given += ["c->row", "c->out_pitch", *by_rows] if block.rows > 1 else []
            given += ["c->stride_x"] if strided and columns > 1 else []
            loop = "\n".join(
                [
                    f"    for (; y + {block.rows} <= c->out_height; y += {block.rows})",
                    f"        {name}_{block.label}(",
                    f"            {', '.join([*given, *more])},",
                    f"            {last}to + y * c->out_pitch + x);",
                ]
            )
            text.append(_gated(loop).rstrip() if block.is_wide and not only else loop)
        whole = "\n".join([*text, "}"])
        found.append(_gated(whole).rstrip() if only else whole)
    return "\n".join(found)


def _gated(text: str) -> str:
    """A text that is compiled where registers are wide only."""
    return f"#if defined(__AVX__)\n{text.rstrip()}\n#endif\n"


def place(column: int, step: str) -> str:
    """Where an output's input is, beside that of the first output."""
    if not step or not column:
        return str(column)
    return step if column == 1 else f"{column} * {step}"


def _filled(text: str, tokens: Mapping[str, str]) -> str:
    """A text with its tokens replaced; lines of one keep the indentation of its place."""

    def replaced(found: re.Match[str]) -> str:
        indent = found[1] or ""
        return indent + tokens[found[2]].replace("\n", "\n" + indent)

    return re.sub(r"(?:^( +))?@(\w+)@", replaced, text, flags=re.MULTILINE)


def lines(words: list[str], between: str) -> list[str]:
    """Statements or declarators, four in a line."""
    return [between.join(words[i : i + 4]) for i in range(0, len(words), 4)]


def _read(name: str) -> str:
    return (FOLDER / f"{name}.c").read_text(encoding="utf-8")
