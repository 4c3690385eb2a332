"""What goes wrong is told on standard error, in one manner."""

from __future__ import annotations

import sys

from pruneflow.report.printable import printable


def complain(message: str) -> None:
    """Tell a person what went wrong."""
    text = printable(f"pruneflow: {message}")
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one place that speaks to stderr
