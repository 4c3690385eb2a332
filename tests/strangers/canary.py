"""Code that leaves a trace where it is run."""

from __future__ import annotations

import os
from pathlib import Path

CANARY = "canary"
"""A file that exists as soon as anything of a stranger's was run in this folder."""

EVIL = f"from pathlib import Path\nPath({CANARY!r}).touch()\n"


def is_alive() -> bool:
    """Whether nothing was run."""
    return not Path(CANARY).exists()


def sparse(path: Path) -> None:
    """A file of 1 TiB that takes no room on the disk."""
    path.touch()
    os.truncate(path, 2**40)


class Touch:
    """What becomes a call when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """See ``object``."""
        return open, (CANARY, "w")  # type: ignore[return-value]
