"""What goes wrong is told on standard error, in one manner."""

from __future__ import annotations

import sys
from typing import TextIO

from pruneflow.report.printable import printable


def complain(message: str, stream: TextIO | None = None) -> None:
    """Tell a person what went wrong, on standard error if nothing else is given."""
    text = printable(f"pruneflow: {message}")
    print(text, file=stream or sys.stderr, flush=True)
