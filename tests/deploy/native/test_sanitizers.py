"""The kernels touch no memory but their own, and do nothing that C leaves open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.native.kernels import BUILDS, COMPILER, IS_X86, PROGRAM, compile_c, needs_compiler


def runtime() -> str:
    """The address sanitizer's own library, which has to be loaded first."""
    command = [COMPILER, "-print-file-name=libasan.so"]
    path = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(path):
        pytest.skip("the compiler has no address sanitizer")
    return path


@needs_compiler
@pytest.mark.parametrize(
    "build", [pytest.param(name, marks=[pytest.mark.slow] * (name != "native")) for name in BUILDS]
)
def test_the_sanitizers_find_nothing(build: str, tmp_path: Path, repository: Path) -> None:
    if build != "native" and not IS_X86:
        pytest.skip("these are x86 processors")
    kernels = tmp_path / "kernels.so"
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
    flags = [*sanitizers, *(BUILDS[build] or ["-march=native"]), "-ffp-contract=fast", "-fopenmp"]
    compile_c(*flags, "-shared", "-fPIC", "-o", kernels, PROGRAM, "-lm")
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.native.sanitized", str(kernels)],
        cwd=repository,
        env={**os.environ, "LD_PRELOAD": runtime(), "ASAN_OPTIONS": "detect_leaks=0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert done.stdout.split() == ["clean"]
