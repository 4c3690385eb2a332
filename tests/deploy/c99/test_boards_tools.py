"""The programs for Arm: found or not, and what is said when they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pruneflow.deploy.c99.boards import tools
from pruneflow.deploy.c99.boards.building import Source, compile_object
from pruneflow.deploy.c99.boards.cpus import CPUS
from pruneflow.errors import DeployError
from tests.deploy.c99.arm import needs_compiler, needs_emulator, written


@pytest.fixture
def forgetful() -> Iterator[None]:
    """What was found before is looked for again."""
    for found in (tools.toolchain, tools.emulator):
        found.cache_clear()
    yield
    for found in (tools.toolchain, tools.emulator):
        found.cache_clear()


def program(name: str, prints: str) -> None:
    path = Path("bin") / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\n")
    path.chmod(0o755)


def test_what_is_absent_can_be_installed(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    assert str(tools.toolchain_missing()).startswith("found no arm-none-eabi-gcc; on Debian: apt")
    assert str(tools.emulator_missing()).startswith("found no qemu-system-arm; on Debian: apt")


def test_a_compiler_without_a_library(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    for name in ("gcc", "size", "nm"):
        program(f"arm-none-eabi-{name}", "libc.a")
    assert str(tools.toolchain_missing()).startswith("arm-none-eabi-gcc has no C library (newlib)")


def test_the_emulators_version(forgetful: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    program("qemu-system-arm", "QEMU emulator version 9.1.2 (Debian 1:9.1.2)")
    assert tools.emulator().version == "QEMU 9.1.2"


def test_a_program_that_fails_is_quoted() -> None:
    code = "import sys; sys.exit('line 1\\na.c:2:1: error: that is wrong\\nerror: and that')"
    with pytest.raises(DeployError, match=r": a\.c:2:1: error: that is wrong$"):
        tools.call(sys.executable, "-c", code)
    with pytest.raises(DeployError, match="No such file"):
        tools.call("nowhere/at-all")


def test_a_program_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(tools.BoardLimitError, match=r"was not done after 0\.2 s"):
        tools.call(sys.executable, "-c", "import time; time.sleep(60)", seconds=0.2)


@pytest.mark.parametrize("name", ["", "a-b", "9", "a b", 'a"', "a;b", "é", "a\n"])
def test_a_name_must_be_one_in_c(name: str) -> None:
    written("")
    with pytest.raises(DeployError, match="is no name in C"):
        Source(Path("tiny.c"), name)


def test_a_source_must_be_there() -> None:
    with pytest.raises(DeployError, match=r"there is no file .*/tiny\.c"):
        Source(Path("tiny.c"), "tiny")
    Path("tiny.c").touch()
    with pytest.raises(DeployError, match=r"there is no file .*/tiny\.h"):
        Source(Path("tiny.c"), "tiny")


@needs_compiler
def test_a_compilers_first_complaint_is_passed_on() -> None:
    source = written('#include "tiny.h"\nint wrong = ;\nint too = ;\n')
    with pytest.raises(DeployError, match=r"gcc: .*tiny\.c:2:13: error: expected expression"):
        compile_object(source.path, CPUS["cortex-m4"], (), Path("made.o"))


@needs_emulator
def test_versions_are_said() -> None:
    assert tools.toolchain().version.split()[1][0].isdigit()
    assert tools.emulator().version.split()[1][0].isdigit()
