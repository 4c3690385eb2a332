"""The command ``pruneflow``: a dispatcher that imports nothing it does not need.

Exit codes: 0 good, 1 a fault of ours or of the training, 2 a mistake the person can mend,
130 interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from pruneflow import __version__
from pruneflow.cli.complain import complain
from pruneflow.errors import PruneFlowError, did_you_mean


@dataclass(frozen=True)
class Command:
    """A word after ``pruneflow``: where its ``main(arguments)`` is, and one line of help."""

    module: str
    help: str


COMMANDS = {
    "init": Command("pruneflow.cli.init", "start a folder: a recipe and a network of your own"),
    "train": Command("pruneflow.cli.train", "train and prune a network by a recipe"),
    "plan": Command("pruneflow.cli.plan", "show what a recipe will do, step by step"),
    "deploy": Command("pruneflow.cli.deploy", "pack, check and measure a finished run's network"),
    "report": Command("pruneflow.cli.report", "gather runs and sweeps into one page"),
    "recipes": Command(
        "pruneflow.cli.recipes", "list, show and check recipes; their schema for editors"
    ),
    "cache": Command("pruneflow.cli.cache", "the work that runs share: list or delete it"),
    "doctor": Command("pruneflow.cli.doctor", "what is installed, what is used, what is missing"),
    "completion": Command("pruneflow.cli.completion", "complete command lines in your shell"),
}

HIDDEN = {
    "_complete": Command("pruneflow.cli.completing.answer", "what shells ask at a tab"),
    "_worker": Command("pruneflow.cli.worker", "one of the processes of a run"),
}

EXAMPLES = """examples:
  pruneflow train recipe=lenet_imp sparsity=0.5,0.9 -m
  pruneflow plan recipe=gradual model=lenet5 data=mnist
  pruneflow deploy run=outputs/lenet_imp/...
  pruneflow report outputs
  pruneflow recipes show prune"""


def usage() -> str:
    """What ``pruneflow --help`` prints."""
    commands = "\n".join(f"  {name:<12}{command.help}" for name, command in COMMANDS.items())
    return (
        f"usage: pruneflow COMMAND [key=value ...] [-m]\n\ncommands:\n{commands}\n\n{EXAMPLES}\n\n"
        "'pruneflow COMMAND --help' tells more; 'pruneflow --version' the version."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        arguments: The words after ``pruneflow``; by default those of this process.

    Returns:
        The exit code.
    """
    try:
        with _ended_like_ctrl_c():
            code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Context: a process that is asked to end (SIGTERM) does so as at Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())  # noqa: T201
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"pruneflow {__version__}")  # noqa: T201
        return 0
    name, rest = arguments[0], list(arguments[1:])
    command = COMMANDS.get(name) or HIDDEN.get(name)
    if command is None:
        return _complain(f"unknown command '{name}'.{did_you_mean(name, COMMANDS, always=True)}", 2)
    try:
        return int(import_module(command.module).main(rest))
    except PruneFlowError as error:
        return _complain(str(error), error.exit_code)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return _complain(f"{str(error.filename)[:100]}...: {error.strerror}", 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _complain(message: str, code: int) -> int:
    complain(message)
    return code
