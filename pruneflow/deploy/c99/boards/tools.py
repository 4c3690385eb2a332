"""The programs that compile for Arm and emulate it: where they are, and how they are called."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pruneflow.deploy.programs import ProgramError, ProgramTimeoutError, output
from pruneflow.errors import DeployError

COMPILER = "arm-none-eabi-gcc"
EMULATOR = "qemu-system-arm"
INSTALL = "on Debian: apt install gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
TIME_LIMIT = 120.0
"""Seconds a program may take."""


class BoardLimitError(DeployError):
    """A network that an emulated machine has no room or no time for."""


@dataclass(frozen=True)
class Toolchain:
    """A compiler for Arm, and what looks into its object files.

    Attributes:
        compiler: Its path.
        size: The path of its ``size``.
        symbols: The path of its ``nm``.
        version: As ``arm-none-eabi-gcc 12.2.1``.
    """

    compiler: str
    size: str
    symbols: str
    version: str


@dataclass(frozen=True)
class Emulator:
    """QEMU.

    Attributes:
        path: Of the program.
        version: As ``QEMU 7.2.22``.
    """

    path: str
    version: str


@cache
def toolchain() -> Toolchain:
    """The compiler for Arm.

    Raises:
        DeployError: It is not installed, or not all of it is.
    """
    paths = {name: _path(f"arm-none-eabi-{name}") for name in ("gcc", "size", "nm")}
    compiler = paths["gcc"]
    library = call(compiler, "-print-file-name=libc.a").strip()
    if not Path(library).is_absolute():
        raise DeployError(f"{COMPILER} has no C library (newlib); {INSTALL}")
    version = call(compiler, "-dumpfullversion").strip()
    return Toolchain(compiler, paths["size"], paths["nm"], f"{COMPILER} {version}")


@cache
def emulator() -> Emulator:
    """QEMU for Arm.

    Raises:
        DeployError: It is not installed.
    """
    path = _path(EMULATOR)
    found = re.search(r"version (\d+(?:\.\d+)+)", call(path, "--version"))
    return Emulator(path, f"QEMU {found[1]}" if found else "QEMU")


def toolchain_missing() -> str | None:
    """Why nothing can be compiled for Arm here, or None."""
    try:
        toolchain()
    except DeployError as error:
        return str(error)
    return None


def emulator_missing() -> str | None:
    """Why nothing can be emulated here, or None."""
    try:
        emulator()
    except DeployError as error:
        return str(error)
    return None


def call(program: str, *words: str, folder: Path | None = None, seconds: float = TIME_LIMIT) -> str:
    """What a program prints.

    Args:
        program: Its path.
        words: Its arguments.
        folder: Where it runs.
        seconds: After which it is stopped.

    Raises:
        BoardLimitError: It is stopped.
        DeployError: It fails.
    """
    try:
        return output(program, *words, seconds=seconds, folder=folder)
    except ProgramTimeoutError as error:
        raise BoardLimitError(f"{Path(program).name} {error}") from error
    except ProgramError as error:
        raise DeployError(f"{Path(program).name}: {error}") from error


def _path(program: str) -> str:
    if (found := shutil.which(program)) is None:
        raise DeployError(f"found no {program}; {INSTALL}")
    return found
