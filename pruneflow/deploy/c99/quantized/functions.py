"""The C functions that a quantized network needs, each once, in an order that can be compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pruneflow.deploy.c99.blocks import Block, blocks_of
from pruneflow.deploy.c99.functions import INDEX, Functions, lines, loops, place

NEEDS: Mapping[str, tuple[str, ...]] = {
    "int8_row": ("int8_steps", "int8_above"),
    "int8_quantize": ("int8_above",),
    "int8_add": ("int8_above",),
    "int8_max_pool": ("pool",),
    "int8_average_pool": ("pool", "int8_steps", "int8_above"),
}
"""Functions and types that others use."""

ROWS = {8: 1, 4: 2, 1: 4}
"""How many rows are summed at once, by how many columns: a Cortex-M has few registers."""

OTHER = " const int8_added *added, const int8_t *other,"
"""What a convolution is given of a result that is added to its own."""

FINISHES: Mapping[str, Mapping[str, str]] = {
    "int8": {
        "parameters": " const uint16_t *factors,\n    const uint8_t *shifts,"
        " int32_t low, uint32_t span,",
        "output": "int8_t",
        "finish": "output[r] = int8_above(low, int8_steps(sum, factors[r], shifts[r]), span);",
    },
    "float": {
        "parameters": " const float *units, float low, float high,",
        "output": "float",
        "finish": "output[r] = clamp((float)sum * units[r], low, high);",
    },
}
"""What becomes of a row's sum, by what is written."""


class IntegerFunctions(Functions):
    """The functions that were asked for."""

    def plain(self, name: str) -> str:
        """See base class."""
        for needed in NEEDS.get(name, ()):
            self.plain(needed)
        return super().plain(name)

    def integer_linear(self, layout: str, written: str) -> str:
        """The function that multiplies a vector by weights in a layout.

        Args:
            layout: Of the weights.
            written: ``int8`` or ``float``.
        """
        for needed in ("clamp",) if written == "float" else ("int8_steps", "int8_above"):
            self.plain(needed)
        name = f"int8_linear_{layout}" + ("_float" if written == "float" else "")
        more = {"count": self.count, **FINISHES[written]}
        return self._fill(f"int8_linear_{layout}", name, "int8", more)

    def integer_conv(
        self, layout: str, strided: bool, adds: bool, sides: Iterable[tuple[int, int]]
    ) -> str:
        """The function that computes an output plane.

        Args:
            layout: Of the weights.
            strided: Whether neighbouring outputs of a row look at inputs that are no neighbours.
            adds: Whether another result is added.
            sides: Height and width of the outputs of all convolutions that use it.
        """
        name = f"int8_conv_{layout}{'_strided' if strided else ''}{'_added' if adds else ''}"
        if name in self:
            return name
        for needed in ("conv", "int8_row", *(["int8_added"] if adds else [])):
            self.plain(needed)
        blocks = blocks_of(sides, ROWS)
        for block in blocks:
            more = _block_tokens(block, strided, adds)
            self._fill(f"int8_conv_{layout}_block", f"{name}_{block.label}", "int8", more)
        last = "row, added, other + y * other_pitch + x, " if adds else "row, "
        by_rows = ("other_pitch",) if adds else ()
        counted = f" uint32_t count, const {INDEX[layout]} *index," if layout in INDEX else ""
        more = {
            "counted": counted,
            "other": f"{OTHER} uint32_t other_pitch," if adds else "",
            "calls": loops(name, blocks, strided, layout, (), last, by_rows),
        }
        return self._fill("int8_conv_plane", name, "int8", more)


def _block_tokens(block: Block, strided: bool, adds: bool) -> dict[str, str]:
    """What the text of a block's function is filled with."""
    step = "step" if strided and block.columns > 1 else ""
    sums, products, stores = [], [], []
    for r in range(block.rows):
        names = [f"s{r * block.columns + column}" for column in range(block.columns)]
        at = f"at{r}" if r else "at"
        if r:
            products.append(f"const int8_t *const {at} = at{r - 1 or ''} + next;")
            stores.append("to += pitch;")
            stores += ["other += other_pitch;"] if adds else []
        sums += [f"{name} = row->bias" for name in names]
        products += lines(
            [f"{name} += weight * {at}[{place(i, step)}];" for i, name in enumerate(names)], " "
        )
        stores += [_store(i, name, adds) for i, name in enumerate(names)]
    parameters = [*(["next", "pitch"] if block.rows > 1 else [])]
    parameters += ["other_pitch"] if adds and block.rows > 1 else []
    parameters += [step] if step else []
    return {
        "block": f"{block.rows} rows of {block.columns}" if block.rows > 1 else str(block.columns),
        "steps": "".join(f" uint32_t {name}," for name in parameters),
        "other": OTHER if adds else "",
        "sums": "\n".join(f"int32_t {line};" for line in lines(sums, ", ")),
        "adds": "\n".join(products),
        "stores": "\n".join(stores),
    }


def _store(i: int, name: str, adds: bool) -> str:
    more = f" + int8_more(added, other[{i}])" if adds else ""
    return f"to[{i}] = int8_finished(row, {name}{more});"
