"""The C of a network, compiled and run on this machine, as strictly as a careful user would."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pruneflow.deploy.programs import ProgramError, output
from pruneflow.errors import DeployError

COMPILERS = ("cc", "gcc", "clang")
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
FLAGS = ("-O2", "-ffp-contract=fast")
TIME_LIMIT = 300
"""Seconds a compiler may take."""

LOOP = """\
#include "{name}.h"

void run_all({name}_workspace *workspace, const float *inputs, float *outputs, long count);

void run_all({name}_workspace *workspace, const float *inputs, float *outputs, long count)
{{
    for (; count > 0; count--) {{
        {name}_run(workspace, inputs, outputs);
        inputs += {upper}_INPUTS;
        outputs += {upper}_OUTPUTS;
    }}
}}
"""


@dataclass(frozen=True)
class Compiled:
    """A network that runs here.

    Attributes:
        handle: The library.
        compiler: The first line of what the compiler says of its version.
        outputs: Numbers of an output.
        workspace: Numbers of the workspace.
    """

    handle: ctypes.CDLL
    compiler: str
    outputs: int
    workspace: int

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs (n, outputs) of float32 inputs (n, ...), one after the other."""
        given = np.ascontiguousarray(inputs.detach().reshape(len(inputs), -1).numpy())
        found = np.full((len(inputs), self.outputs), np.nan, np.float32)
        memory = np.full(self.workspace, np.nan, np.float32)  # whatever is there must not matter
        pointers = (array.ctypes.data_as(ctypes.c_void_p) for array in (memory, given, found))
        self.handle.run_all(*pointers, ctypes.c_long(len(inputs)))
        return torch.from_numpy(found)


def compiler() -> str:
    """The path of a C compiler.

    Raises:
        DeployError: There is none.
    """
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        raise DeployError(
            "deploy.target=c99 compares the C code with torch before it is handed out, and there "
            f"is no C compiler here ({', '.join(COMPILERS)}): install gcc or clang"
        )
    return found


@contextmanager
def compiled(name: str, files: dict[str, str], outputs: int, workspace: int) -> Iterator[Compiled]:
    """Context: a network's C code as a library; nothing of it is left on disk.

    Args:
        name: Of the network.
        files: Texts by file name; ``NAME.c`` and ``NAME.h`` are among them.
        outputs: Numbers of an output.
        workspace: Numbers of the workspace.

    Raises:
        DeployError: There is no compiler, or it does not take the code.
    """
    path = compiler()
    with tempfile.TemporaryDirectory(prefix="pruneflow-c99-") as folder:
        for file, text in files.items():
            (Path(folder) / file).write_text(text, encoding="ascii")
        loop, library = Path(folder) / f"{name}_loop.c", Path(folder) / f"lib{name}.so"
        loop.write_text(LOOP.format(name=name, upper=name.upper()), encoding="ascii")
        source = Path(folder) / f"{name}.c"
        _run(path, *STRICT, *FLAGS, "-shared", "-fPIC", "-o", library, source, loop, "-lm")
        version = next(iter(_run(path, "--version").splitlines()), path)
        yield Compiled(ctypes.CDLL(str(library)), version, outputs, workspace)


def _run(*command: str | Path) -> str:
    try:
        return output(*command, seconds=TIME_LIMIT)
    except ProgramError as error:
        raise DeployError(f"the C code cannot be compiled here: {error}") from None
