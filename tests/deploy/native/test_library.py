"""Kernels are compiled once, kept, and made again when what was kept is no good."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from pruneflow.deploy.native import library
from pruneflow.deploy.native.program import NativeProgram
from pruneflow.errors import DeployError
from tests.deploy.native.kernels import assert_right, linear, needs_compiler, sparse_matrix

pytestmark = needs_compiler
TOOLS = ("sh", "cp", "sleep", "echo", "printf")
STUB = """#!/bin/sh
case "$*" in *--version*) {version}; exit 0;; esac
words="$*"
echo "$words" >> {log}
while [ "$1" != -o ]; do shift; done
case "$words" in *{unknown}*) exit 1;; esac
{work}
"""


class Machine:
    """A machine with its own compilers, keeping kernels in a folder of its own."""

    def __init__(self, folder: Path, kernels: Path) -> None:
        self.bin, self.cache, self.log = folder / "bin", folder / "cache", folder / "log"
        self.copies = f'cp {kernels} "$2"'
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def install(
        self,
        name: str,
        work: str | None = None,
        version: str = "echo stub 1.0",
        unknown: str = "unknown",
    ) -> None:
        """A compiler that copies finished kernels, unless it does other work.

        Args:
            name: What it is called.
            work: Shell commands; "$2" is what is to be made.
            version: Shell commands that say the version.
            unknown: A flag that it refuses.
        """
        script = STUB.format(
            version=version, log=self.log, unknown=unknown, work=work or self.copies
        )
        (self.bin / name).write_text(script, encoding="utf-8")
        (self.bin / name).chmod(0o755)

    def calls(self) -> list[str]:
        """How compilers were called to compile."""
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def kept(self) -> list[Path]:
        """The files it keeps."""
        return sorted(path for path in self.cache.rglob("*") if path.is_file())


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """No compiler, nothing kept."""
    machine = Machine(tmp_path, Path(library.library().handle._name))
    monkeypatch.setenv("PATH", str(machine.bin))
    monkeypatch.setattr(library.pooch, "os_cache", lambda name: machine.cache / name)
    forget()
    yield machine
    forget()
    if library._own_folder.cache_info().currsize:
        library._own_folder().cleanup()
        library._own_folder.cache_clear()


def forget() -> None:
    """As a process begins."""
    library._found.cache_clear()
    library._tried.cache_clear()


def next_process() -> library.Library:
    """The kernels as another process would find them; they work."""
    forget()
    network = linear(sparse_matrix(20, 40, 0.3, seed=0))
    assert_right(NativeProgram(network.graph, network.tensors), network, network.inputs())
    return library.library()


# -- compilers -----------------------------------------------------------------------------


def test_without_a_compiler_it_says_what_to_install(machine: Machine) -> None:
    with pytest.raises(DeployError, match="found none of cc, gcc, clang: install gcc or clang"):
        library.library()
    assert "install gcc" in str(library.missing())


def test_a_compiler_that_was_installed_since_is_found(machine: Machine) -> None:
    assert library.missing() is not None
    machine.install("gcc")
    assert library.missing() is None


def test_another_compiler_is_tried_when_one_fails(machine: Machine) -> None:
    machine.install("cc", "echo broken >&2; exit 1")
    machine.install("clang", version="echo clang version 99; echo more")
    assert next_process().compiler == "clang version 99"


FAILURES = {
    "error in the middle": (
        "echo one >&2; echo 'x.c: fatal error: no stddef.h' >&2; echo ended. >&2; exit 1",
        "cc: x.c: fatal error: no stddef.h$",
    ),
    "last line": ("echo one >&2; echo two >&2; exit 1", "cc: two$"),
    "silent": ("exit 3", "returned non-zero exit status 3"),
    "blank": ("printf '\\n \\n' >&2; exit 3", "returned non-zero exit status 3"),
    "no text": ("printf '\\377\\376 bad' >&2; exit 1", "cc: .. bad$"),
    "no library": ('echo text > "$2"', "cc: .*(file too short|invalid ELF|not a mach-o|header)"),
    "nothing made": ("exit 0", "cc: .*No such file"),
    "killed": ("kill -9 $$", "died with"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(FAILURES))
def test_a_compiler_that_fails_is_named_with_its_complaint(machine: Machine, case: str) -> None:
    work, complaint = FAILURES[case]
    machine.install("cc", work)
    with pytest.raises(DeployError, match=complaint):
        library.library()
    assert [path for path in machine.kept() if ".part" in path.name] == []


def test_a_compiler_that_hangs_is_given_up(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "TIME_LIMIT", 0.2)
    machine.install("cc", version="exec sleep 60")
    with pytest.raises(DeployError, match=r"was not done after 0\.2 s"):
        library.library()


@pytest.mark.parametrize("version", ["true", "printf '\\377\\n'"])
def test_a_version_may_be_no_text(machine: Machine, version: str) -> None:
    machine.install("cc", version=version)
    assert next_process().compiler in ("cc", "\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("unknown", "left"),
    [
        ("-fopenmp", ("-march=native",)),
        ("-march", ("-mcpu=native", "-fopenmp")),
        ("=native", ("-fopenmp",)),
    ],
)
def test_flags_it_does_not_know_are_left_out(
    machine: Machine, unknown: str, left: tuple[str, ...]
) -> None:
    machine.install("cc", unknown=unknown)
    found = next_process()
    assert found.flags == left
    assert found.is_threaded == ("-fopenmp" in left)


def test_without_openmp_one_thread_does_all(machine: Machine) -> None:
    machine.install("cc", unknown="-fopenmp")
    library.library()
    network = linear(sparse_matrix(20, 40, 0.3, seed=0))
    run = NativeProgram(network.graph, network.tensors)
    torch.set_num_threads(2)
    try:
        assert_right(run, network, network.inputs(130))
        assert run._latest.state[1] == 1
    finally:
        torch.set_num_threads(1)


def test_a_broken_compiler_is_tried_once(machine: Machine) -> None:
    machine.install("cc", "echo broken >&2; exit 1")
    first = library.missing()
    assert first is not None
    assert "broken" in first
    calls = machine.calls()
    assert calls
    assert [library.missing() for _ in range(3)] == [first] * 3
    with pytest.raises(DeployError, match="broken"):
        library.library()
    assert machine.calls() == calls
    machine.install("gcc")
    assert library.missing() is None


# -- what is kept --------------------------------------------------------------------------


def test_it_is_compiled_once(machine: Machine) -> None:
    machine.install("cc")
    for _ in range(3):
        next_process()
    assert len(machine.calls()) == len(machine.kept()) == 1


def test_threads_that_ask_at_once_get_the_same(machine: Machine) -> None:
    machine.install("cc", f"sleep 0.1; {machine.copies}")
    found: list[library.Library] = []
    asking = [threading.Thread(target=lambda: found.append(library.library())) for _ in range(5)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == [found[0]] * 5
    assert len(machine.calls()) == 1


CHANGES: dict[str, Callable[[Machine, pytest.MonkeyPatch], None]] = {
    "compiler": lambda machine, patch: machine.install("cc", version="echo stub 2.0"),
    "processor": lambda machine, patch: patch.setattr(library, "_processor", lambda: ["other"]),
    "flags": lambda machine, patch: patch.setattr(library, "FLAGS", (*library.FLAGS, "-g")),
    "sources": lambda machine, patch: patch.setattr(library, "SOURCES", edited(machine)),
}


def edited(machine: Machine) -> Path:
    """The sources, one byte longer."""
    folder = machine.bin / "sources"
    shutil.copytree(library.SOURCES, folder, ignore=shutil.ignore_patterns("*.py*"))
    with (folder / "rows.h").open("a") as file:
        file.write("\n")
    return folder


@pytest.mark.parametrize("change", list(CHANGES))
def test_it_is_compiled_anew_when_something_changed(
    machine: Machine, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install("cc")
    next_process()
    CHANGES[change](machine, monkeypatch)
    next_process()
    assert len(machine.calls()) == len(machine.kept()) == 2


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "end lost": lambda data: data[:-1],
    "a bit": lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_what_was_damaged_is_made_again(machine: Machine, damage: str) -> None:
    machine.install("cc")
    library.library()
    (path,) = machine.kept()
    whole = path.read_bytes()
    path.unlink()  # loaded libraries are not to be written into
    path.write_bytes(DAMAGES[damage](whole))
    assert next_process().is_threaded
    next_process()
    assert path.read_bytes() == whole
    assert len(machine.calls()) == 2


def test_where_nothing_can_be_kept_it_works_from_a_folder_of_its_own(machine: Machine) -> None:
    machine.install("cc")
    machine.cache.write_text("no folder", encoding="utf-8")
    own = Path(next_process().handle._name).parent
    assert own == Path(library._own_folder().name)
    assert own.stat().st_mode & 0o077 == 0
    assert [path.suffix for path in own.iterdir()] == [".so"]


def test_kernels_in_a_folder_that_cannot_be_written_are_used(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install("cc")
    next_process()
    monkeypatch.setattr(library, "_writable_folder", lambda: pytest.fail("nothing to write"))
    assert Path(next_process().handle._name) == machine.kept()[0]


def test_others_cannot_write_what_is_kept(machine: Machine) -> None:
    machine.install("cc")
    library.library()
    assert machine.kept()[0].parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_kernels_where_others_can_write_are_not_run(machine: Machine, mode: int) -> None:
    machine.install("cc")
    library.library()
    (planted,) = machine.kept()
    planted.parent.chmod(mode)
    used = Path(next_process().handle._name)
    assert used.parent == Path(library._own_folder().name)
    assert len(machine.calls()) == 2
    assert machine.kept() == [planted]


def test_kernels_in_a_folder_of_somebody_else_are_not_run(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install("cc")
    library.library()
    me = library.os.getuid()
    monkeypatch.setattr(library.os, "getuid", lambda: me + 1)
    used = Path(next_process().handle._name)
    assert used.parent == Path(library._own_folder().name)
    assert len(machine.calls()) == 2
