"""Folders that a living process works in: held by a lock that ends with it, however it ends."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from pruneflow.errors import HeldError
from pruneflow.runfolder import shown
from pruneflow.untrusted import require_confined

if sys.platform != "win32":
    import fcntl

CLAIM = ".claimed"
_FOLLOW_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_mine: set[int] = set()


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Context: keep every other process, and this one a second time, out of a folder.

    The operating system holds the lock, so that a killed process leaves none behind. Windows
    and file systems without such locks hold nothing.

    Raises:
        HeldError: Somebody is in there; the message names the process.
        ResumeError: A symbolic link in it leads out of it.
        OSError: The folder cannot be written.
    """
    require_confined(folder)
    folder.mkdir(parents=True, exist_ok=True)
    claim = os.open(folder / CLAIM, os.O_RDWR | os.O_CREAT | _FOLLOW_NO_LINK, 0o666)
    _mine.add(claim)
    try:
        if not _locked(claim):
            raise HeldError(f"{shown(folder)} is in use: {_holder(claim)} works in it")
        os.ftruncate(claim, 0)
        os.write(claim, _about_me())
        yield
    finally:
        _unlock(claim)
        _mine.discard(claim)
        os.close(claim)


def _locked(claim: int) -> bool:
    """Whether the lock is ours now."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _unlock(claim: int) -> None:
    """Let go at once, whoever has a copy of the open file."""
    if sys.platform != "win32":
        with suppress(OSError):
            fcntl.flock(claim, fcntl.LOCK_UN)


def _about_me() -> bytes:
    since = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    me = {"process": os.getpid(), "host": socket.gethostname(), "since": since}
    return json.dumps(me).encode()


def _holder(claim: int) -> str:
    try:
        told = json.loads(os.read(claim, 1000))
        return f"process {told['process']} on {told['host']}, since {told['since']},"
    except (ValueError, KeyError, TypeError, OSError):  # it has not written it yet
        return "another process"


def _forget() -> None:
    """In a forked child: its copies of our open files must not outlive us."""
    while _mine:
        os.close(_mine.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)
