"""What a lock asks for beyond its run's folder, and whether it was written by the same person.

A lock that imports modules, logs elsewhere or keeps data elsewhere is signed when it is written,
with a key that never leaves the person's account. One from a stranger is refused until the person
says ``trust=true``.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.errors import ResumeError
from pruneflow.untrusted import read_text

SIGNATURE = ".signature"
"""In a run's folder: says that the lock was written here."""

WORD = "trust=true"


def reaches(values: Mapping[str, Any], home: Path) -> set[str]:
    """What a configuration does beyond the run's folder, as a person would say it.

    Args:
        values: The configuration without its recipe.
        home: The folder that its paths are meant from.
    """
    return set(_reaches(values, home))


def _reaches(values: Mapping[str, Any], home: Path) -> Iterator[str]:
    model, data, logger = values["model"], values["data"], values["logger"]
    for name in (*(values["imports"] or ()), model.get("module"), data.get("module")):
        if name is not None:
            yield f"imports {str(name).partition(':')[0]}"
    if logger.get("tracking_uri") is not None:
        yield f"logs to {logger['tracking_uri']}"
    if logger["name"] == "wandb" and logger.get("offline") is not True:
        yield "logs to wandb's server"
    for root in (data.get("root"), (data.get("args") or {}).get("root")):
        if root is not None and not _lies_in(home / str(root), home):
            yield f"keeps data in {root}"


def require(folder: Path, text: str, asked: set[str], allowed: Collection[str]) -> None:
    """Make sure that the person wants what a lock asks for.

    Args:
        folder: The run's.
        text: The lock.
        asked: See ``reaches``.
        allowed: What the person asks for anyway.

    Raises:
        ResumeError: The lock was not written by this person on this machine, and asks for more.
    """
    if (more := sorted(asked.difference(allowed))) and not _is_signed(folder, text):
        raise ResumeError(
            f"{folder / runfolder.RUN_LOCK}: {', '.join(more)}, and was not written by you on this "
            f"machine. If you trust it and what it names, add {WORD}"
        )


def sign(folder: Path, text: str) -> None:
    """Say that a lock was written by this person; where that cannot be kept, nothing is said."""
    with suppress(OSError):
        runfolder.write_bytes(folder / SIGNATURE, _signature(_key(), text).encode())


def _is_signed(folder: Path, text: str) -> bool:
    try:
        found = read_text(folder / SIGNATURE, 1000)
        return hmac.compare_digest(found.encode(), _signature(_key(), text).encode())
    except (OSError, ValueError):
        return False


def _signature(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


def _key() -> bytes:
    """The person's own, made when it is first asked for.

    Raises:
        OSError: It cannot be kept.
    """
    import pooch

    path = Path(pooch.os_cache("pruneflow")) / "key"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = runfolder.temporary(path)
        part.unlink(missing_ok=True)
        try:
            part.touch(0o600, exist_ok=False)
            part.write_bytes(secrets.token_bytes(32))
            with suppress(FileExistsError):  # another process has just made one
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    return path.read_bytes()


def _lies_in(path: Path, home: Path) -> bool:
    inside = os.path.normpath(path.absolute())
    return Path(inside).is_relative_to(os.path.normpath(home.absolute()))
