"""The C kernels: compiled on the spot for the processor at hand, once, and kept."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pooch

from pruneflow import runfolder
from pruneflow.deploy.programs import ProgramError, output
from pruneflow.errors import DeployError

SOURCES = Path(__file__).parent
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
NATIVE = (("-march=native",), ("-mcpu=native",), ())
THREADS = (("-fopenmp",), ())
TIME_LIMIT = 120
"""Seconds a compiler may take."""

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Library:
    """The compiled kernels.

    Attributes:
        handle: Their functions.
        compiler: The first line of what the compiler says of its version.
        flags: What made the difference for this machine.
    """

    handle: ctypes.CDLL
    compiler: str
    flags: tuple[str, ...]

    @property
    def is_threaded(self) -> bool:
        """Whether a call may use several threads."""
        return "-fopenmp" in self.flags


def library() -> Library:
    """The kernels, compiled if they are not yet.

    Raises:
        DeployError: There is no compiler, or none of them can compile the kernels here.
    """
    with _ONE_AT_A_TIME:
        return _found()


@cache
def _found() -> Library:
    problems = []
    for name in COMPILERS:
        if (path := shutil.which(name)) is None:
            continue
        made = _tried(path)
        if isinstance(made, Library):
            return made
        problems.append(f"{path}: {made}")
    text = "; ".join(problems) or f"found none of {', '.join(COMPILERS)}: install gcc or clang"
    raise DeployError(f"the C kernels need a C compiler: {text}")


@cache
def _tried(compiler: str) -> Library | str:
    """What a compiler makes, or why it makes nothing; that is not tried again."""
    try:
        return _loaded(compiler)
    except (OSError, ProgramError) as error:
        return str(error)


def missing() -> str | None:
    """Why there are no C kernels here, or None."""
    try:
        library()
    except DeployError as error:
        return str(error)
    return None


def _loaded(compiler: str) -> Library:
    version = next(iter(_made(compiler, "--version").splitlines()), Path(compiler).name)
    failure: Exception | None = None
    for extra in ((*native, *threads) for native in NATIVE for threads in THREADS):
        try:
            return Library(_declared(_handle(compiler, version, extra)), version, extra)
        except (OSError, ProgramError) as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _handle(compiler: str, version: str, extra: tuple[str, ...]) -> ctypes.CDLL:
    key = _key(version, extra)
    kept = sorted(_folder().glob(f"{key}-*.so")) if _is_ours(_folder()) else []
    path = next(filter(_is_whole, kept), None) or _compiled(compiler, extra, key)
    return ctypes.CDLL(str(path))


def _compiled(compiler: str, extra: tuple[str, ...], key: str) -> Path:
    folder = _writable_folder()
    part = runfolder.temporary(folder / f"{key}.so")
    try:
        _made(compiler, *FLAGS, *extra, "-o", str(part), str(SOURCES / "program.c"), "-lm")
        path = folder / f"{key}-{_digest(part.read_bytes())}.so"
        runfolder.publish(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _is_whole(path: Path) -> bool:
    """Whether a file holds what its name says; to load half a library may kill the process."""
    try:
        return path.stem.endswith(f"-{_digest(path.read_bytes())}")
    except OSError:
        return False


def _key(version: str, extra: tuple[str, ...]) -> str:
    """Stands for all that makes kernels what they are."""
    words = "\0".join((version, *FLAGS, *extra, *_processor())).encode()
    sources = (source.read_bytes() for source in sorted(SOURCES.glob("*.[ch]")))
    return f"kernels-{_digest(words, *sources)}"


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:20]


def _folder() -> Path:
    """Where compiled kernels are kept."""
    return Path(pooch.os_cache("pruneflow")) / "native"


def _writable_folder() -> Path:
    """The same, or a folder of this process where that cannot be written, or others can write."""
    kept = _folder()
    try:
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=kept):
            if _is_ours(kept):
                return kept
    except OSError:
        pass
    return Path(_own_folder().name)


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can put a library there for us to run."""
    try:
        found = folder.stat()
    except OSError:
        return False
    return os.name != "posix" or (found.st_uid == os.getuid() and not found.st_mode & 0o022)


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="pruneflow-")


def _processor() -> Iterator[str]:
    """What a home folder that several machines share must tell apart."""
    yield platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    yield from sorted(
        {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    )


def _made(*command: str) -> str:
    return output(*command, seconds=TIME_LIMIT)


def _declared(handle: ctypes.CDLL) -> ctypes.CDLL:
    pointer, count, number = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    handle.pf_lanes.restype = number
    handle.pf_pack_windows.restype = ctypes.c_size_t
    handle.pf_pack_windows.argtypes = [ctypes.c_size_t, *[pointer] * 8]
    handle.pf_scratch_floats.restype = count
    handle.pf_scratch_floats.argtypes = [pointer]
    handle.pf_run.restype = None
    handle.pf_run.argtypes = [pointer, pointer, pointer]
    return handle
