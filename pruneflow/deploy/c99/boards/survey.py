"""A network on every processor: what the report says of its flash, its RAM and its instructions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pruneflow.deploy.c99.boards.building import FAST, SMALL, Source
from pruneflow.deploy.c99.boards.cpus import CPUS, Cpu
from pruneflow.deploy.c99.boards.flash import Flash, flash_of
from pruneflow.deploy.c99.boards.running import Floats, Run, run_on
from pruneflow.deploy.c99.boards.tools import (
    BoardLimitError,
    emulator,
    emulator_missing,
    toolchain,
    toolchain_missing,
)

REPORTED = "cortex-m4"
"""Whose flash is shown in parts."""


@dataclass(frozen=True)
class Board:
    """A network on one processor.

    Attributes:
        cpu: The processor.
        emulator: What ran it.
        flash: Of the network.
        run: What it did.
        agrees: Samples whose class is the expected one.
        dense_instructions: What a sample took on average with every weight computed, if known.
    """

    cpu: Cpu
    emulator: str
    flash: Flash
    run: Run
    agrees: int
    dense_instructions: int | None

    def to_json(self) -> dict[str, Any]:
        """As the report has it."""
        found: dict[str, Any] = {
            "cpu": self.cpu.name, "machine": self.cpu.ran_as, "emulator": self.emulator,
            "flags": " ".join((*FAST, *self.cpu.flags)),
            "flash": self.flash.total, "library": self.flash.library,
            "samples": len(self.run.outputs), "agrees": self.agrees,
            "instructions": self.run.mean_instructions,
        }  # fmt: skip
        if self.dense_instructions is not None:
            found["dense_instructions"] = self.dense_instructions
        return found


@dataclass(frozen=True)
class Survey:
    """A network on all of them.

    Attributes:
        flash: The sparse network's, by processor; empty without a compiler.
        dense_flash: The same network's with every weight stored.
        boards: What ran.
        absent: Why some or all of them did not.
        compiler: Which one compiled.
        workspace_bytes: What the network's header asks for.
    """

    flash: dict[str, Flash]
    dense_flash: Flash | None
    boards: tuple[Board, ...]
    absent: str | None
    compiler: str
    workspace_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The report's keys ``flash``, ``boards`` and ``boards_absent``, where they are known."""
        found: dict[str, Any] = {}
        if REPORTED in self.flash:
            found["flash"] = self._flash_json()
        if self.boards:
            found["boards"] = [board.to_json() for board in self.boards]
        if self.absent is not None:
            found["boards_absent"] = self.absent
        return found

    def _flash_json(self) -> dict[str, Any]:
        cpu, sparse = CPUS[REPORTED], self.flash[REPORTED]
        ram = {"workspace": self.workspace_bytes, "static": sparse.static_ram}
        stacks = [board.run.stack_bytes for board in self.boards if board.cpu == cpu]
        ram |= {"stack": max(stacks)} if stacks else {}
        dense = {} if self.dense_flash is None else {"dense": self.dense_flash.to_json()}
        return {
            "tool": f"{self.compiler} / size", "cpu": cpu.name,
            "flags": " ".join((*SMALL, *cpu.flags)), "sparse": sparse.to_json(), **dense,
            "ram": ram,
        }  # fmt: skip


def survey(
    source: Source,
    inputs: Floats,
    expected: Floats,
    workspace_bytes: int,
    dense: Source | None = None,
    cpus: tuple[Cpu, ...] = tuple(CPUS.values()),
) -> Survey:
    """Compile a network for every processor, and run it where that can be emulated.

    What is not installed is left out, and the survey says why.

    Args:
        source: The network's C.
        inputs: (samples, inputs); as many are run as the emulator has time for.
        expected: (samples, outputs) that the network should have.
        workspace_bytes: What its header asks for.
        dense: The same network with every weight stored and computed.
        cpus: The processors.

    Raises:
        DeployError: The network does not compile, or faults.
    """
    if (absent := toolchain_missing()) is not None:
        return Survey({}, None, (), absent, "", workspace_bytes)
    flash = {cpu.name: flash_of(source, cpu) for cpu in cpus}
    dense_flash = None if dense is None else flash_of(dense, CPUS[REPORTED])
    boards, problems = [], []
    if (absent := emulator_missing()) is not None:
        problems.append(absent)
    else:
        for cpu in cpus:
            try:
                run = run_on(source, cpu, inputs)
            except BoardLimitError as error:
                problems.append(f"{cpu.name}: {error}")
                continue
            agrees = _agreeing(run.outputs, expected[: len(run.outputs)])
            counted = _dense_instructions(dense, cpu, inputs)
            boards.append(Board(cpu, emulator().version, flash[cpu.name], run, agrees, counted))
    return Survey(
        flash, dense_flash, tuple(boards), "; ".join(problems) or None, toolchain().version,
        workspace_bytes,
    )  # fmt: skip


def _dense_instructions(dense: Source | None, cpu: Cpu, inputs: Floats) -> int | None:
    if dense is None:
        return None
    try:
        return run_on(dense, cpu, inputs).mean_instructions
    except BoardLimitError:
        return None


def _agreeing(outputs: Floats, expected: Floats) -> int:
    """Samples of the expected class; of a single output, of about the expected number."""
    if expected.shape[1] == 1:
        right = np.isclose(outputs, expected, rtol=1e-3, atol=1e-3)[:, 0]
    else:
        right = outputs.argmax(1) == expected.argmax(1)
    return int((right & np.isfinite(outputs).all(1)).sum())
