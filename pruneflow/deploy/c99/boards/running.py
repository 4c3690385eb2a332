"""A network on an emulated machine: what comes out, in how many instructions, on how much stack.

The emulator's clock stands still but for instructions, each of which takes 128 ns: 3.2 ticks of the
machine's timers. Two readings are apart by that to less than one tick, so that the number of
instructions between them is known exactly, and is the same each time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pruneflow.deploy.c99.boards.building import Source, link_program
from pruneflow.deploy.c99.boards.cpus import Cpu
from pruneflow.deploy.c99.boards.tools import TIME_LIMIT, call, emulator
from pruneflow.errors import DeployError

Floats = npt.NDArray[np.float32]

TICK = 40
"""Nanoseconds of a tick of the timers, at 25 MHz."""
SHIFT = 7
"""An instruction takes 2 ** SHIFT nanoseconds."""
PATIENCE = 1_000_000_000
"""Instructions after which no further sample is begun: a few seconds of the emulator's time."""
COARSE = 256
"""Ticks of one of the coarse timer, which tells how often the fine one went round."""


@dataclass(frozen=True)
class Run:
    """What a network did on a machine.

    Attributes:
        outputs: (samples, outputs), of as many samples as there was patience for.
        instructions: That each sample took, from the first of ``NAME_run`` to its return.
        stack_bytes: What it took of the stack.
    """

    outputs: Floats
    instructions: tuple[int, ...]
    stack_bytes: int

    @property
    def mean_instructions(self) -> int:
        """Instructions of a sample on average, rounded."""
        return round(Fraction(sum(self.instructions), len(self.instructions)))


def run_on(
    source: Source,
    cpu: Cpu,
    inputs: Floats,
    patience: int = PATIENCE,
    seconds: float = TIME_LIMIT,
) -> Run:
    """Run a network on the emulated machine of a processor.

    Args:
        source: Its C.
        cpu: The processor it is compiled for.
        inputs: (samples, inputs); they lie in the machine's flash beside the network.
        patience: Instructions after which no further sample is begun.
        seconds: After which the emulator is stopped.

    Raises:
        BoardLimitError: The network does not fit the machine, or takes too long.
        DeployError: A tool is missing, the network does not compile, or reads or writes where it
            must not.
    """
    if inputs.ndim != 2 or 0 in inputs.shape:
        raise DeployError(f"inputs of shape {inputs.shape}: they are to be (samples, inputs)")
    samples, length = inputs.shape
    words = (
        f'-DPROBED_HEADER="{source.header}"',
        f"-DPROBED={source.name}",
        f"-DPROBED_MACROS={source.name.upper()}",
        f"-DPROBED_INPUTS={length}",
        f"-DPROBED_SAMPLES={samples}",
        f"-DPROBED_PATIENCE={max(patience * 2**SHIFT // (COARSE * TICK), 1)}u",
    )
    with tempfile.TemporaryDirectory(prefix="pruneflow-") as name:
        folder = Path(name)
        np.ascontiguousarray(inputs, "<f4").tofile(folder / "inputs.bin")
        program = link_program(source, cpu, words, folder)
        told = call(
            emulator().path, "-machine", cpu.machine, "-kernel", str(program),
            "-no-user-config", "-nodefaults", "-display", "none", "-monitor", "none",
            "-nic", "none", "-serial", "stdio", "-no-reboot", "-icount", f"shift={SHIFT}",
            folder=folder, seconds=seconds,
        )  # fmt: skip
    return _read(told.splitlines(), cpu)


def _read(lines: list[str], cpu: Cpu) -> Run:
    """What the program told."""
    if not lines or lines[-1] != "end":
        done = sum(line.startswith("run") for line in lines)
        what = "the network faulted" if "fault" in lines else "the program broke off"
        raise DeployError(f"{what} on {cpu.ran_as} after {done} samples")
    (call_ticks,) = _numbers(lines, "call")
    ((stack,),) = _numbers(lines, "stack")
    runs = list(_numbers(lines, "run"))
    nothing = _instructions(*call_ticks)
    outputs = np.array([run[2:] for run in runs], np.uint32).view(np.float32)
    counts = tuple(_instructions(*run[:2]) - nothing + 1 for run in runs)  # it returned, too
    return Run(outputs, counts, stack)


def _numbers(lines: list[str], what: str) -> Iterator[list[int]]:
    for line in lines:
        if line.startswith(what):
            yield [int(number, 16) for number in line.split()[1:]]


def _instructions(fine: int, coarse: int) -> int:
    """Between two readings of the timers, by the ticks that each of them went on."""
    rounds = round((coarse * COARSE - fine) / 2**32)
    return round(Fraction((fine + rounds * 2**32) * TICK, 2**SHIFT))
