"""What earlier jobs have done of a job: folders whose run has the same configuration hash."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from pruneflow import plain_yaml, runfolder
from pruneflow.errors import ResumeError, UserError
from pruneflow.sweep.place import Sweep, may_hold, sweeps
from pruneflow.training.config import RunConfig
from pruneflow.training.resume import changed_files, is_same, read_lock
from pruneflow.training.trust import reaches

WEIGHTY = ("pruneflow", "torch")
"""Packages of which another version may train another network."""


def homes(config: RunConfig, place: Path, sweep: Sweep) -> list[Path]:
    """The runs of a configuration, the one to take first.

    The job's own place comes first, then finished runs, then unfinished ones; newest first.

    Args:
        config: What the job does, with the checkpoint it begins from.
        place: Where the job would go.
        sweep: The sweep it belongs to.
    """
    config_hash = config.digest
    found = [sweep.folder] if sweep.earlier is None else sweeps(sweep.earlier)
    others = [
        home
        for folder in found
        if may_hold(folder, config_hash)
        for job in runfolder.sweep_jobs(folder)
        for home in (job.home, job.place)
        if home != place and hash_of(home) == config_hash
    ]
    others.sort(key=lambda home: not runfolder.is_finished(home))
    is_open = config.values["seed"] is None  # the run drew one, which is in its hash
    is_own = hash_of(place) == config_hash or (is_open and is_same(config, place))
    return [*([place] if is_own else []), *dict.fromkeys(others)]


def outdated(config: RunConfig, sweep: Sweep) -> tuple[Path, list[str]] | None:
    """The sweep before, if its first job did the same with other text in the person's files.

    Returns:
        Its folder, and what has changed since.
    """
    for folder in sweeps(sweep.earlier) if sweep.earlier is not None else ():
        jobs = runfolder.sweep_jobs(folder) if folder != sweep.folder else []
        for job in jobs[:1]:
            try:
                locked = read_lock(job.home, reaches(config.values, config.home))
            except UserError:
                continue
            then = replace(config, own_files=locked.own_files)
            if then.digest == locked.digest:
                return folder, changed_files(locked)
        if jobs:
            break
    return None


def hash_of(folder: Path) -> str | None:
    """The hash of the configuration of the run in a folder, if there is one."""
    name = runfolder.RESULT if runfolder.is_finished(folder) else runfolder.RUN_LOCK
    try:
        return _hash_in(folder / name, (folder / name).stat().st_mtime_ns)
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError, ResumeError):
        return None


@cache
def _hash_in(path: Path, modified: int) -> str:
    """What a file says; every job of a sweep asks this of every earlier job."""
    if path.name == runfolder.RESULT:
        return str(runfolder.read_json(path).get("config_hash"))
    return str(plain_yaml.read(path)["config_hash"])


def finished_line(result: dict[str, Any], shown: Path) -> str:
    """What to say of a job that is not trained again."""
    how = "is finished" if result.get("status") == "complete" else "ended early"
    versions = result.get("versions") or {}
    others = [f"{name} {versions[name]}" for name in WEIGHTY if _differs(name, versions)]
    by = f" (by {', '.join(others)})" if others else ""
    return f"{how}: {shown}{by}"


def _differs(package: str, versions: dict[str, Any]) -> bool:
    return package in versions and versions[package] != version(package)
