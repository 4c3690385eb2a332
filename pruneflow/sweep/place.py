"""A sweep's folder: the one that goes on, or a new one that nobody else has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.errors import HeldError, ResumeError
from pruneflow.holding import held
from pruneflow.training.shared.store import FOLDER, clear
from pruneflow.training.shared.work import Common

LOCK = "sweep.lock.json"
SHARED = FOLDER.name
"""In a sweep that takes nothing over from before."""


@dataclass(frozen=True)
class Sweep:
    """A sweep as each of its jobs knows it, in this process or in a worker's.

    Attributes:
        folder: Where its jobs go.
        earlier: The folder of the sweeps whose jobs count too; None where only its own do.
        live: Whether a table on the terminal shows all jobs, in place of what each one says.
        points: The steps up to which its jobs agree with others, by the hash of what they do;
            None where a sweeper chooses them on its way.
        shared: Where it keeps what they have in common, if not where all runs do.
    """

    folder: Path
    earlier: Path | None = None
    live: bool = False
    points: Mapping[str, tuple[int, ...]] | None = None
    shared: Path | None = None

    def common(self, config_hash: str) -> Common:
        """What one of its jobs has in common with others."""
        points = None if self.points is None else self.points.get(config_hash, ())
        return Common(points, self.shared)


@dataclass(frozen=True)
class Asked:
    """What a command line asks for.

    Attributes:
        folder: Where the sweep would go, from the root on.
        named: Whether the person named that folder.
        fresh: Whether nothing that was done earlier counts.
        last: Whether there has to be something to continue.
        hashes: The hash of each job's configuration; None where a sweeper chooses them on its way.
    """

    folder: Path
    named: bool = False
    fresh: bool = False
    last: bool = False
    hashes: list[str] | None = None


@contextmanager
def opened(asked: Asked, tell: Callable[[str], None]) -> Iterator[Sweep]:
    """Context: the folder of a sweep, held against other processes.

    The newest sweep with the very same jobs goes on where it is; one that another process
    works on is left alone.

    Args:
        asked: What is to run.
        tell: Told of sweeps that are left alone.

    Raises:
        ResumeError: There is nothing to continue, or the folder that was named is in use.
    """
    with ExitStack() as stack:
        folder = _named(asked) if asked.named else _continued(asked, stack, tell)
        if folder is None:
            folder = runfolder.new(asked.folder)
            stack.enter_context(held(folder))
        elif asked.named:
            stack.enter_context(held(folder))
        fresh = asked.fresh or _lock(folder).get("fresh") is True
        runfolder.write_json(folder / LOCK, {"fresh": fresh, "config_hashes": asked.hashes})
        earlier = None if asked.named or fresh else folder.parent
        shared = folder / SHARED if fresh else None
        try:
            yield Sweep(folder, earlier, shared=shared)
        finally:
            if shared is not None:
                clear(shared)


def sweeps(folder: Path) -> list[Path]:
    """The sweeps in a folder, those that were at work last first."""
    locks = [(path.stat().st_mtime_ns, path.parent) for path in folder.glob(f"*/{LOCK}")]
    return [sweep for _, sweep in sorted(locks, reverse=True)]


def may_hold(sweep: Path, config_hash: str) -> bool:
    """Whether a job of this hash may be among a sweep's."""
    hashes = _lock(sweep).get("config_hashes")
    return not isinstance(hashes, list) or config_hash in hashes


def _named(asked: Asked) -> Path:
    shown = runfolder.shown(asked.folder)
    if asked.last and not asked.folder.is_dir():
        raise ResumeError(f"nothing to continue: no sweep in {shown}")
    if asked.fresh and runfolder.sweep_jobs(asked.folder):
        raise ResumeError(f"{shown} holds jobs; fresh=true needs a folder without any")
    return asked.folder


def _continued(asked: Asked, stack: ExitStack, tell: Callable[[str], None]) -> Path | None:
    """The newest sweep of the same jobs, held; None where there is none."""
    same = [] if asked.fresh or not asked.hashes else sweeps(asked.folder.parent)
    for sweep in same:
        if _lock(sweep).get("config_hashes") == asked.hashes:
            try:
                stack.enter_context(held(sweep))
            except HeldError as error:
                tell(f"{error} on the same jobs. This sweep gets a folder of its own.")
            else:
                return sweep
    if asked.last:
        where = runfolder.shown(asked.folder.parent)
        raise ResumeError(f"nothing to continue: no sweep of these jobs in {where}")
    return None


def _lock(sweep: Path) -> dict[str, Any]:
    """What a sweep says of itself; nothing where that is absent or damaged."""
    try:
        return runfolder.read_json(sweep / LOCK)
    except ResumeError:
        return {}
