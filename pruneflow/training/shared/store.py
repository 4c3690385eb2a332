"""Where shared work is kept: a folder for each point of a training that others may go on from.

``KEY/STEP-HASH/`` holds a checkpoint and the metrics up to it, each under its own content's hash,
and ``about.json``, written last, which names them: what it does not name or what is not as it
says does not count. Nothing in there is ever run; checkpoints are read as plain tensors.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.errors import HeldError, ResumeError
from pruneflow.holding import CLAIM, held

FOLDER = Path("outputs") / ".shared"
"""Below the folder in which a person types commands."""

ABOUT = "about.json"
LIMIT = 4_000_000_000
"""Bytes that are kept; beyond them goes what was not used for longest."""

_PARTS = ("checkpoint", "metrics")


@dataclass(frozen=True)
class Entry:
    """A point of a training that runs may go on from.

    Attributes:
        place: Its folder.
        until: The step up to which runs have to agree with it, as its name says.
        prefix: The hash of what their plans do until then, likewise.
        step: Updates done in its checkpoint.
        seconds: CPU time that went into it.
        about: What else is told of it: ``run``, ``recipe``, ``model``, ``data``.
        sha256: Of the content of its parts.
    """

    place: Path
    until: int
    prefix: str
    step: int
    seconds: float
    about: Mapping[str, Any]
    sha256: Mapping[str, str]

    @classmethod
    def read(cls, place: Path) -> Entry | None:
        """What is in a folder, or None where there is nothing that counts."""
        try:
            until, _, prefix = place.name.partition("-")
            told = runfolder.read_json(place / ABOUT)
            sha256 = {part: str(told["sha256"][part]) for part in _PARTS}
            step, seconds = told["step"], told["cpu_seconds"]
            hashes = all(re.fullmatch("[0-9a-f]{64}", each) for each in sha256.values())
            if not (hashes and isinstance(step, int) and 0 < step <= int(until)):
                return None
            if not 0 <= float(seconds) < math.inf:
                return None
            about = {k: str(told.get(k, "")) for k in ("run", "recipe", "model", "data")}
            return cls(place, int(until), prefix, step, float(seconds), about, sha256)
        except (ResumeError, KeyError, TypeError, ValueError):
            return None

    def part(self, name: str) -> Path:
        """The file of ``checkpoint`` or of ``metrics``."""
        return self.place / f"{self.sha256[name]}.{name}"

    def fetch(self, name: str, target: Path) -> None:
        """Copy a part, which has to be what it was.

        Raises:
            ResumeError: It is gone or damaged, or the copy cannot be made.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        part = runfolder.temporary(target)
        try:
            shutil.copyfile(self.part(name), part)
            if runfolder.sha256(part) != self.sha256[name]:
                raise ResumeError(f"{self.part(name)}: is damaged")
            runfolder.publish(part, target)
        except OSError as error:
            raise ResumeError(f"{self.part(name)}: {error.strerror or error}") from None
        finally:
            part.unlink(missing_ok=True)

    @property
    def bytes(self) -> int:
        """What it takes on the disk."""
        return _size(self.place)

    @property
    def used(self) -> float:
        """When it was made or last gone on from, in seconds since 1970."""
        with suppress(OSError):
            return (self.place / ABOUT).stat().st_mtime
        return 0.0

    def touch(self) -> None:
        """Somebody goes on from it."""
        with suppress(OSError):
            os.utime(self.place / ABOUT)


def place_of(store: Path, key: str, until: int, prefix: str) -> Path:
    """The folder of a point."""
    return store / key / f"{until:08d}-{prefix}"


def entries(store: Path, key: str = "*") -> list[Entry]:
    """The points of a store, all or those of one key."""
    found = (Entry.read(path.parent) for path in sorted(store.glob(f"{key}/*/{ABOUT}")))
    return [entry for entry in found if entry is not None]


def publish(place: Path, parts: Mapping[str, Path], told: Mapping[str, Any]) -> None:
    """Make a point known to others; its parts are moved there.

    Raises:
        OSError: It cannot be written.
    """
    place.mkdir(parents=True, exist_ok=True)
    sha256 = {name: runfolder.sha256(path) for name, path in parts.items()}
    for name, path in parts.items():
        runfolder.publish(path, place / f"{sha256[name]}.{name}")
    runfolder.write_json(place / ABOUT, {**told, "sha256": sha256})


def trim(store: Path, limit: int = LIMIT) -> None:
    """Drop what was not used for longest, until no more than so many bytes are left."""
    kept = sorted(entries(store), key=lambda entry: entry.used, reverse=True)
    total = 0
    for entry in kept:
        total += entry.bytes
        if total > limit:
            remove(entry.place)


def clear(store: Path) -> tuple[int, int]:
    """Drop everything that nobody is at work in.

    Returns:
        How many points were dropped, and their bytes.
    """
    places = [path for path in store.glob("*/*") if path.is_dir()]
    sizes = {path: _size(path) for path in places if Entry.read(path) is not None}
    gone = [path for path in places if remove(path)]
    for key in store.glob("*"):
        with suppress(OSError):  # it holds what somebody works in
            key.rmdir()
    with suppress(OSError):
        store.rmdir()
    return sum(path in sizes for path in gone), sum(sizes.get(path, 0) for path in gone)


def remove(place: Path) -> bool:
    """Drop a point, unless somebody trains up to it at this moment."""
    try:
        with held(place):
            (place / ABOUT).unlink(missing_ok=True)  # nobody begins to read it from now on
            shutil.rmtree(place, ignore_errors=True)
    except HeldError:
        return False
    except OSError:
        pass
    return not place.exists()


def age(entry: Entry) -> float:
    """Seconds since it was made or last gone on from."""
    return max(0.0, time.time() - entry.used)


def beat(place: Path) -> None:
    """Show whoever waits for a point that its training goes on."""
    with suppress(OSError):
        os.utime(place / CLAIM)


def heartbeat(place: Path) -> float:
    """When that was shown last."""
    with suppress(OSError):
        return (place / CLAIM).stat().st_mtime
    return 0.0


def _size(place: Path) -> int:
    return sum(_bytes(place))


def _bytes(place: Path) -> Iterator[int]:
    for path in place.iterdir():
        with suppress(OSError):
            yield path.stat().st_size
