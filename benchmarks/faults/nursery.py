"""Processes that are ``pruneflow`` and begin at once, each with a fault that will strike it.

One process imports everything and then forks for each command; a small library that is
preloaded into it (``operations.c``) makes operations on files fail, or moves the clock.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

SOURCE = Path(__file__).with_name("operations.c")
SAID = "said.txt"
LIMIT = 120
"""Seconds after which a command hangs."""

CLASSES = {"ENOSPC": 1, "EROFS": 2, "EIO": 1}
"""Which operations fail so: those that take room (1), or every change (2)."""

LOADED = (
    "pruneflow.cli.train", "pruneflow.cli.deploy", "pruneflow.cli.hydra_app",
    "pruneflow.cli.jobs", "pruneflow.cli.task", "pruneflow.cli.sweeping",
    "pruneflow.training.job", "pruneflow.report.pictures", "pruneflow.report.sweep",
    "pruneflow.deploy.api", "hydra._internal.hydra", "hydra._internal.core_plugins.basic_launcher",
    "sklearn.datasets", "matplotlib.backends.backend_agg",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What strikes a command.

    Attributes:
        kind: ``none``; ``signal``, ``vanish`` or ``clock`` at a step of training; ``nan`` in the
            loss of one, or ``raise`` in a hook; ``operation`` at the nth change of a file below
            the command's folder.
        at: Which step, or which change.
        what: The name of a signal, an error, a folder or a hook, or a number of seconds.
        again: Steps after which the signal comes once more; 0 is never.
    """

    kind: str = "none"
    at: int = 0
    what: str = ""
    again: int = 0


@dataclass(frozen=True)
class End:
    """How a command ended.

    Attributes:
        code: Its exit code; of a signal that killed it, the negative number; None if it hung.
        said: What it wrote to standard output and standard error.
    """

    code: int | None
    said: str


class Nursery:
    """Context: where commands begin at once.

    Args:
        folder: For the library that is preloaded.
    """

    def __init__(self, folder: Path) -> None:
        self.library = folder / "operations.so"

    @staticmethod
    def lacks() -> str:
        """What this machine lacks for it, or the empty string."""
        if sys.platform != "linux":
            return "operations on files can be made to fail on Linux only"
        return "" if shutil.which("cc") else "there is no C compiler (cc)"

    def __enter__(self) -> Nursery:
        build = ["cc", "-O1", "-shared", "-fPIC", "-o", str(self.library), str(SOURCE), "-ldl"]
        subprocess.run(build, check=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.nursery", str(self.library)],
            cwd=SOURCE.parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "LD_PRELOAD": str(self.library)},
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run(self, words: Sequence[str], home: Path, fault: Fault = Fault()) -> End:
        """``pruneflow WORDS`` in a folder, struck by a fault."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"words": list(words), "home": str(home), "fault": asdict(fault)}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        code = json.loads(self.process.stdout.readline())
        return End(code, (home.parent / SAID).read_text(errors="replace"))


def serve(library: str) -> None:
    """Fork a process for each line of standard input, and answer how it ended."""
    from importlib import import_module

    for name in LOADED:
        import_module(name)
    hands = ctypes.CDLL(library)
    out = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            _live(hands, asked["words"], Path(asked["home"]), Fault(**asked["fault"]))
        print(json.dumps(_awaited(child)), file=out, flush=True)


def _awaited(child: int) -> int | None:
    """The exit code of a process; None if it had to be killed because it hung."""
    hung = False

    def kill(*_: Any) -> None:
        nonlocal hung
        hung = True
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.alarm(LIMIT)
    _, status = os.waitpid(child, 0)
    signal.alarm(0)
    return None if hung else os.waitstatus_to_exitcode(status)


def _live(hands: Any, words: Sequence[str], home: Path, fault: Fault) -> None:
    """In the new process: what ``python -m pruneflow`` does."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    said = os.open(home.parent / SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(home)
    os.environ["TMPDIR"] = str(home)
    code: Any = 1
    try:
        from pruneflow.cli import main

        _prepare(hands, home, fault)
        code = main(list(words))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _prepare(hands: Any, home: Path, fault: Fault) -> None:
    """Make ready what will strike."""
    if fault.kind == "operation":
        number = getattr(errno, fault.what, 0)
        deadly = 0 if number else signal.Signals[fault.what]
        chosen = CLASSES.get(fault.what, 0)
        hands.faults_arm(os.fsencode(home), fault.at, chosen, number, deadly)
    elif fault.kind in ("nan", "raise"):
        _strike_in_a_hook(fault)
    elif fault.kind != "none":
        _strike_at_a_step(hands, home, fault)


def _strike_at_a_step(hands: Any, home: Path, fault: Fault) -> None:
    from pruneflow.engine import Engine

    advance = Engine.advance

    def struck(self: Engine, step: int) -> Any:
        if fault.kind == "signal" and step in {fault.at, fault.at + fault.again}:
            os.kill(os.getpid(), signal.Signals[fault.what])
        elif fault.kind == "vanish" and step == fault.at:
            shutil.rmtree(home / fault.what)
        elif fault.kind == "clock" and step == fault.at:
            hands.faults_clock(ctypes.c_long(int(fault.what)))
        return advance(self, step)

    Engine.advance = struck  # type: ignore[method-assign]


def _strike_in_a_hook(fault: Fault) -> None:
    """What goes wrong in a module, from the outside: at the nth call, or the last before it."""
    from pruneflow.zoo.classifier import Classifier

    name = "training_step" if fault.kind == "nan" else fault.what
    hook, calls = getattr(Classifier, name), iter(range(1, 10**9))

    def struck(self: Classifier, *arguments: Any) -> Any:
        call = next(calls)
        if fault.kind == "raise" and call == fault.at:
            raise RuntimeError("a fault of the person's own")
        found = hook(self, *arguments)
        return found * float("nan") if fault.kind == "nan" and call == fault.at else found

    setattr(Classifier, name, struck)


if __name__ == "__main__":
    serve(sys.argv[1])
