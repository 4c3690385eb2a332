"""The consoles that commands print on: nothing that is printed is taken for markup."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from rich.console import Console


class PlainConsole(Console):
    """A console for text of unknown origin: no markup, no emoji codes, no guessed colours."""

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """Say nothing more, and let the command end in its own way, not in rich's."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise BrokenPipeError
