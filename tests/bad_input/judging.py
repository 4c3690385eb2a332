"""Runs the command in this process and judges what it says: good, or one clear refusal."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from pruneflow.cli import main
from pruneflow.report.printable import printable

ACCEPTED, REFUSED, WRONG = "accepted", "refused", "wrong"
MOST_TEXT = 20_000
"""Letters of a refusal: a person reads it, on a terminal."""

SECONDS = 30
"""Of one command; none of them computes anything."""


class Begins(BaseException):
    """Raised in place of work that a command line asked for: it was accepted."""


class Hangs(BaseException):
    """Raised in whatever takes too long."""


@dataclass(frozen=True)
class Verdict:
    """What became of one bad input.

    Attributes:
        kind: ``ACCEPTED``, ``REFUSED`` or ``WRONG``.
        said: What was said, or what is wrong about it.
    """

    kind: str
    said: str = ""


@dataclass(frozen=True)
class Answer:
    """What a command line did.

    Attributes:
        code: Its exit code; None where an exception came out of it.
        out: What it printed.
        err: What it complained about.
        raised: The traceback of that exception.
    """

    code: int | None
    out: str
    err: str
    raised: str = ""

    def verdict(self, complaint: str | None = None) -> Verdict:
        """Judge it by the law of the command line.

        Args:
            complaint: Where the refusal stands; by default what was complained about.
        """
        said = self.err if complaint is None else complaint
        if self.raised or "Traceback" in self.out + self.err:
            return Verdict(WRONG, f"an exception came out: {self.raised or self.err}")
        if self.code not in (0, 2):
            return Verdict(WRONG, f"exit code {self.code}: {said}")
        if printable(self.out + self.err) != self.out + self.err:
            return Verdict(WRONG, f"a terminal would obey it: {said!a}")
        if self.code == 0:
            return Verdict(ACCEPTED, self.out)
        if not said.strip():
            return Verdict(WRONG, "it is refused without a word")
        if len(said) > MOST_TEXT:
            return Verdict(WRONG, f"{len(said)} letters are no clear message: {said[:300]}")
        return Verdict(REFUSED, said)


CLOCKS = ((signal.SIGPROF, signal.ITIMER_PROF, 1), (signal.SIGALRM, signal.ITIMER_REAL, 20))
"""Of the processor, and on the wall, for what waits instead: how often the seconds it may take."""


@contextmanager
def at_most(seconds: float = SECONDS) -> Iterator[None]:
    """Context: raises ``Hangs`` in what takes longer, on a machine that others use too."""

    def ring(signum: int, frame: object) -> None:
        raise Hangs(f"it takes longer than {seconds} seconds")

    before = [signal.signal(number, ring) for number, _, _ in CLOCKS]
    for _, timer, times in CLOCKS:
        signal.setitimer(timer, times * seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(CLOCKS, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


@contextmanager
def own_folder() -> Iterator[Path]:
    """Context: an empty folder to work in; the process is as it was afterwards."""
    here, variables, path = Path.cwd(), dict(os.environ), list(sys.path)
    folder = Path(tempfile.mkdtemp(prefix="bad-input-"))
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(variables)
        sys.path[:] = path
        shutil.rmtree(folder, ignore_errors=True)


def answer(words: Sequence[str], command: Callable[[Sequence[str]], int] = main) -> Answer:
    """What ``pruneflow WORDS`` does in this process, on terminals that take UTF-8."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    code, raised = None, ""
    try:
        with redirect_stdout(out), redirect_stderr(err), at_most(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Hydra warns of what it then does without
            code = command(words)
    except Begins:
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raised = "".join(traceback.format_exception(error))
    return Answer(code, _read(out), _read(err), raised)


def _read(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()
