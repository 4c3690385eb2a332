"""Launches become cubins, in a process of their own: here Triton may be interpreting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneflow.deploy.aot.architectures import ARCHITECTURES
from pruneflow.deploy.aot.build import Build, build_of
from pruneflow.deploy.aot.resources import Resources, resources_of
from pruneflow.deploy.kernels import language
from pruneflow.deploy.kernels.launch import Launch
from pruneflow.errors import DeployError, did_you_mean

WORKER = "pruneflow.deploy.aot.worker"

Tell = Callable[[str], None]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Cubin:
    """A compiled kernel.

    Attributes:
        build: What it was compiled with.
        data: The file.
        symbol: The kernel's name in it.
        warps: Of 32 threads, for each program.
        shared: Bytes of dynamic shared memory.
        scratch: Of Triton's two own arguments, which follow the others: bytes for each program,
            and their alignment.
        resources: What it asks of a GPU.
    """

    build: Build
    data: bytes
    symbol: str
    warps: int
    shared: int
    scratch: tuple[tuple[int, int], tuple[int, int]]
    resources: Resources


def compile_launches(
    launches: Sequence[Launch], arch: str, tell: Tell = lambda text: None
) -> list[Cubin]:
    """A cubin for each launch; equal ones are compiled once.

    Args:
        launches: Their tensors may be on any device.
        arch: One of ``architectures.ARCHITECTURES``.
        tell: Is told what goes on.

    Raises:
        DeployError: There is no such architecture, no Triton, or a kernel cannot be compiled.
    """
    if arch not in ARCHITECTURES:
        hint = did_you_mean(arch, ARCHITECTURES, always=True)
        raise DeployError(f"deploy.arch={arch}: there is no such architecture.{hint}")
    if language.triton is None:
        raise DeployError("compiling kernels ahead of time needs Triton: pip install triton")
    builds = [build_of(launch) for launch in launches]
    distinct = list({build.key: build for build in builds}.values())
    made = dict(zip((build.key for build in distinct), _made(distinct, arch, tell), strict=True))
    return [made[build.key] for build in builds]


def _made(builds: Sequence[Build], arch: str, tell: Tell) -> Iterator[Cubin]:
    with (
        tempfile.TemporaryDirectory(prefix="pruneflow-aot-") as name,
        closing(_answers(builds, arch, Path(name))) as answers,
    ):
        for number, build in enumerate(builds, 1):
            tell(f"compiling {build.function} for {arch}, {number} of {len(builds)}")
            answer = next(answers)
            if problem := answer.get("error") or _too_large(answer["shared"], arch):
                raise DeployError(f"{build.function} cannot be compiled for {arch}: {problem}")
            yield _cubin(build, answer)


def _too_large(shared: int, arch: str) -> str | None:
    most = 1024 * ARCHITECTURES[arch]
    return f"it needs {shared} bytes of shared memory of {most}" if shared > most else None


def _answers(builds: Sequence[Build], arch: str, folder: Path) -> Generator[Answer, None, None]:
    """What the worker says of each build; if it dies, its last words stand for the rest."""
    request = {
        "builds": [json.loads(build.key) for build in builds],
        "capability": int(arch.removeprefix("sm_")),
        "folder": str(folder),
    }
    said, asked = folder / "said.txt", folder / "asked.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    with said.open("wb") as errors, asked.open("rb") as questions:
        process = subprocess.Popen(  # noqa: S603 - this very Python
            [sys.executable, "-P", "-m", WORKER], stdin=questions, stdout=subprocess.PIPE,
            stderr=errors, env=_environment(folder), encoding="utf-8",
        )  # fmt: skip
    try:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
        process.wait()
        words = said.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line for line in reversed(words) if line.strip()), "")
        while True:
            yield {"error": last or f"the compiler ended with code {process.returncode}"}
    finally:
        process.kill()
        process.communicate()


def _environment(folder: Path) -> dict[str, str]:
    """As here, but compiling, writing to the folder only, and keeping no paths in cubins."""
    own = {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "TMPDIR": str(folder),
        "TRITON_CACHE_DIR": str(folder / "cache"),
        "TRITON_DISABLE_LINE_INFO": "1",
        "TRITON_INTERPRET": "0",
    }
    return os.environ | own


def _cubin(build: Build, answer: Answer) -> Cubin:
    path = Path(answer["path"])
    own = [64, 64]
    if answer["widths"] != [_bits(name) for name in build.types.values()] + own:
        raise DeployError(
            f"{build.function}: its cubin takes arguments of {answer['widths']} bits, which is "
            f"not what is known of Triton {language.triton.__version__}"
        )
    global_scratch, profile_scratch = map(tuple, answer["scratch"])
    return Cubin(
        build, path.read_bytes(), answer["symbol"], answer["warps"], answer["shared"],
        (global_scratch, profile_scratch), resources_of(path),
    )  # fmt: skip


def _bits(name: str) -> int:
    """How wide an argument of a type is passed; a truth value takes a byte."""
    return 64 if name.startswith("*") else {"u1": 8}.get(name) or int(name[-2:])
