"""Programs that are run for what they make or print."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from pruneflow.errors import DeployError

_TELLING = re.compile(r"error|overflow|undefined", re.IGNORECASE)


class ProgramError(DeployError):
    """A program cannot be run or fails; says what it said."""


class ProgramTimeoutError(ProgramError):
    """A program took too long."""


def output(*command: str | Path, seconds: float, folder: Path | None = None) -> str:
    """What a program prints.

    Args:
        command: Its path, and its arguments.
        seconds: After which it is stopped.
        folder: Where it runs.

    Raises:
        ProgramTimeoutError: It is stopped.
        ProgramError: It fails.
    """
    try:
        done = subprocess.run(  # noqa: S603 - a program that was found on the path
            command, cwd=folder, check=True, capture_output=True, timeout=seconds,
            stdin=subprocess.DEVNULL, encoding="utf-8", errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ProgramTimeoutError(f"was not done after {seconds:g} s") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramError(_gist(error)) from error
    return done.stdout


def _gist(error: Exception) -> str:
    """The first line about an error in what a program said, or else its last line."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
    lines = ((said or "").strip() or str(error)).splitlines()
    return next((line for line in lines if _TELLING.search(line)), lines[-1])
