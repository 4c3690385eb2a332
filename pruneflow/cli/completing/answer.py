"""``pruneflow _complete SHELL ...``: what the scripts of the shells ask at every tab.

It answers with a line for each candidate, or with nothing: a person who presses a key wants no
word about what went wrong.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress

from pruneflow.cli.completing import bash
from pruneflow.cli.completing.candidates import candidates
from pruneflow.cli.completing.keys import Words
from pruneflow.report.printable import KEPT, printable


def main(arguments: Sequence[str]) -> int:
    """Answer a shell.

    Args:
        arguments: ``bash LINE WORD``: the line up to the cursor, and its last part as readline
            cuts it; ``zsh WORDS...`` or ``fish WORDS...``: the words after ``pruneflow`` without
            their quotes, the one at the cursor last.
    """
    lines: list[str] = []
    with suppress(Exception, SystemExit, KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            lines = list(_answers(*arguments))
    sys.stdout.buffer.write(b"".join(os.fsencode(line) + b"\n" for line in lines))
    return 0


def _answers(shell: str, *arguments: str) -> Iterator[str]:
    if shell == "bash":
        line, part = arguments
        yield from bash.replies(line, part, _shown)
        return
    *given, current = arguments
    for word, what in _shown(given, current).items():
        yield f"{word}\t{printable(what)}" if what else word


def _shown(given: Sequence[str], current: str) -> Words:
    """The candidates that a terminal shows as they are: a file's name may hold anything."""
    found = candidates(given, current)
    return {word: " ".join(what.split()) for word, what in found.items()
            if printable(word) == word and not set(word) & set(KEPT)}  # fmt: skip
