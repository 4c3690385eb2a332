"""How much flash a network takes, by what it is for."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pruneflow.deploy.c99.boards.building import SMALL, Source, compile_object, link_alone
from pruneflow.deploy.c99.boards.cpus import Cpu
from pruneflow.deploy.c99.boards.tools import call, toolchain

KINDS = {
    "values": "values",
    "index": "index",
    "counts": "index",
    "scales": "scales",
    "units": "scales",
    "factors": "scales",
    "shifts": "scales",
    "added": "scales",
    "bias": "bias",
}
"""What an array is for, by the end of its name."""

_IN_FLASH = (".text", ".rodata", ".data", ".ARM.ex")
_IN_RAM = (".data", ".bss")


@dataclass(frozen=True)
class Flash:
    """Bytes of a network's object file.

    Attributes:
        code: Instructions, and constants that are in no array of weights.
        values: Weights.
        index: Where the weights stand.
        scales: What int8 weights are multiplied by.
        bias: Biases.
        library: What a program gets besides, for it, from the compiler's libraries: floating point
            where the processor has none, exponentials.
        static_ram: RAM that it holds all the time.
    """

    code: int
    values: int
    index: int
    scales: int
    bias: int
    library: int
    static_ram: int

    @property
    def total(self) -> int:
        """Bytes of flash that the object file takes; the library is not in them."""
        return self.code + self.values + self.index + self.scales + self.bias

    def to_json(self) -> dict[str, int]:
        """Its numbers."""
        kinds = ("code", "values", "index", "scales", "bias", "total", "library")
        return {kind: getattr(self, kind) for kind in kinds}


def flash_of(source: Source, cpu: Cpu) -> Flash:
    """The flash of a network that is compiled to be small.

    Raises:
        DeployError: There is no compiler, or it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="pruneflow-") as folder:
        compiled, linked = Path(folder) / "network.o", Path(folder) / "network.elf"
        compile_object(source.path, cpu, SMALL, compiled)
        link_alone(source, compiled, cpu, linked)
        sections, arrays = _sections(compiled), _arrays(compiled)
        in_flash, with_library = _sum(sections, _IN_FLASH), _sum(_sections(linked), _IN_FLASH)
    return Flash(
        code=in_flash - sum(arrays.values()), **arrays,
        library=max(with_library - in_flash, 0), static_ram=_sum(sections, _IN_RAM),
    )  # fmt: skip


def _sections(path: Path) -> list[tuple[str, int]]:
    lines = call(toolchain().size, "-A", "-d", str(path)).splitlines()
    found = (re.match(r"(\S+)\s+(\d+)\s+\d+$", line) for line in lines)
    return [(match[1], int(match[2])) for match in found if match]


def _sum(sections: list[tuple[str, int]], prefixes: tuple[str, ...]) -> int:
    return sum(size for name, size in sections if name.startswith(prefixes))


def _arrays(path: Path) -> dict[str, int]:
    """Bytes of the constant arrays, by what they are for."""
    found = dict.fromkeys(KINDS.values(), 0)
    for line in call(toolchain().symbols, "-P", "-t", "d", str(path)).splitlines():
        match = re.match(rf"\S+_({'|'.join(KINDS)})(?:\.\S+)? [rRdD] \d+ (\d+)", line)
        if match:
            found[KINDS[match[1]]] += int(match[2])
    return found
