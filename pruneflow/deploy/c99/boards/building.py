"""The C of a network compiled for an Arm processor, alone or as a program with nothing under it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pruneflow.deploy.c99.boards.cpus import Cpu
from pruneflow.deploy.c99.boards.tools import BoardLimitError, call, toolchain
from pruneflow.errors import DeployError

LANGUAGE = ("-std=c99", "-ffp-contract=fast")
SMALL = (*LANGUAGE, "-Os")
FAST = (*LANGUAGE, "-O2")
PROGRAM = Path(__file__).parent / "program"
"""What a program needs besides the network: start-up code, a main function, a memory map."""


@dataclass(frozen=True)
class Source:
    """A network's C.

    Attributes:
        path: Of the ``.c`` file; its header is in the same folder.
        name: What everything it exports begins with.

    Raises:
        DeployError: It is no name in C, or the files are not there.
    """

    path: Path
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.absolute())
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", self.name):
            raise DeployError(f"'{self.name}' is no name in C")
        for path in (self.path, self.header):
            if not path.is_file():
                raise DeployError(f"there is no file {path}")

    @property
    def header(self) -> Path:
        """Its header."""
        return self.path.with_suffix(".h")


def compile_object(source: Path, cpu: Cpu, flags: tuple[str, ...], made: Path) -> None:
    """Compile one file.

    Raises:
        DeployError: There is no compiler, or it refuses.
    """
    words = (*cpu.flags, *flags, "-c", str(source.absolute()), "-o", str(made))
    call(toolchain().compiler, *words)


def link_alone(source: Source, compiled: Path, cpu: Cpu, made: Path) -> None:
    """Link a network with what it takes from the compiler's libraries, and nothing else.

    Raises:
        DeployError: Something that it calls is in none of them.
    """
    words = ("-nostartfiles", "-Wl,--gc-sections", f"-Wl,--entry={source.name}_run")
    call(toolchain().compiler, *cpu.flags, *words, str(compiled), "-lm", "-o", str(made))


def link_program(source: Source, cpu: Cpu, words: tuple[str, ...], folder: Path) -> Path:
    """A program that runs a network on its machine, in a folder that also holds ``inputs.bin``.

    Args:
        source: The network.
        cpu: The processor.
        words: More words for the compiler of the main function.
        folder: For the program and what is made on the way.

    Raises:
        BoardLimitError: The network and the inputs do not fit the machine.
        DeployError: The network does not compile.
    """
    compiler, made = toolchain().compiler, folder / "program.elf"
    own = [str(PROGRAM / name) for name in ("startup.c", "console.c", "main.c", "inputs.S")]
    network = folder / "network.o"
    compile_object(source.path, cpu, FAST, network)
    try:
        call(
            compiler, *cpu.flags, *FAST, *words, "-nostartfiles",
            "-T", str(PROGRAM / "board.ld"), *own, str(network), "-lm", "-o", str(made),
            folder=folder,
        )  # fmt: skip
    except DeployError as error:
        if found := re.search(r"region `(\w+)' overflowed by (\d+) bytes", str(error)):
            problem = (
                f"{int(found[2]):,} bytes too many for the {found[1].lower()} of {cpu.machine}"
            )
            raise BoardLimitError(problem) from error
        raise
    return made
