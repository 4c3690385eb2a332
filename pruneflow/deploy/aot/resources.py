"""What a cubin asks of a GPU, as NVIDIA's own tools read it; Triton brings them along."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pruneflow.deploy.aot.sass import Code
from pruneflow.deploy.kernels.language import triton
from pruneflow.errors import DeployError

_USAGE = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
_COPIES = ("LDGSTS", "UBLKCP", "UTMALDG")
_WIDTHS = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "64": 64, "128": 128}


@dataclass(frozen=True)
class Resources:
    """Of one cubin; instructions are those of its hot loops (``sass.Code.hot``).

    Attributes:
        registers: Of each thread.
        spilled: Bytes of each thread that did not fit into registers.
        instructions: Of one pass through each hot loop.
        products: How many numbers a thread multiplies and adds in these.
        tensor: Instructions for tensor cores.
        copies: Asynchronous copies from global to shared memory.
        loads: Loads from global memory by their width in bits.
    """

    registers: int
    spilled: int
    instructions: int
    products: float
    tensor: int
    copies: int
    loads: Mapping[int, int]

    @property
    def cost(self) -> float | None:
        """Instructions for each product of a number of the weight and one of the inputs.

        For a kernel that multiplies each stored weight by n inputs at once, n times this is what
        a stored weight costs.
        """
        return self.instructions / self.products if self.products else None

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        loads = {str(width): count for width, count in sorted(self.loads.items())}
        return asdict(self) | {"loads": loads, "cost": self.cost}


def resources_of(cubin: Path) -> Resources:
    """Read them.

    Raises:
        DeployError: The tools are absent, or do not know the architecture.
    """
    usage = _USAGE.search(_output("cuobjdump", "-res-usage", cubin))
    if usage is None:
        raise DeployError("cuobjdump does not tell what a cubin uses")
    registers, stack, _, local = map(int, usage.groups())
    hot = Code(_output("nvdisasm", "-c", cubin)).hot
    names = [instruction.name.split(".") for instruction in hot]
    return Resources(
        registers=registers,
        spilled=stack + local,
        instructions=len(hot),
        products=sum(instruction.products for instruction in hot),
        tensor=sum(instruction.is_tensor for instruction in hot),
        copies=sum(words[0] in _COPIES for words in names),
        loads=Counter(_width(words) for words in names if words[0] == "LDG"),
    )


def _width(words: list[str]) -> int:
    """Of a load; one of 32 bits does not say so."""
    return next((_WIDTHS[word] for word in words if word in _WIDTHS), 32)


def _output(tool: str, option: str, cubin: Path) -> str:
    try:
        path = getattr(triton.knobs.nvidia, tool).path
        done = subprocess.run(  # noqa: S603 - a tool that came with Triton
            [path, option, str(cubin)], check=True, capture_output=True, text=True
        )
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        raise DeployError(f"cubins cannot be looked into: {error}") from None
    return done.stdout
