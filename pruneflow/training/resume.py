"""What a run begins from: nothing, a checkpoint of another run, or the place where it stopped."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from secrets import randbelow
from typing import Any

import torch
import yaml
from rich.console import Console

from pruneflow import plain_yaml, runfolder
from pruneflow.checkpoint import newest_checkpoint
from pruneflow.errors import ResumeError, UserError
from pruneflow.training import trust
from pruneflow.training.config import RunConfig
from pruneflow.training.numbers import SEEDS
from pruneflow.training.starting_point import StartingPoint
from pruneflow.untrusted import read_text

LAST = "last"
_SEAL = "# sha256 of what follows:"
_SHOWN = 3


def begin(config: RunConfig, folder: Path, console: Console) -> tuple[RunConfig, Path | None]:
    """Lock the configuration in a new folder, or find where the run in it stopped.

    Args:
        config: What to do; its ``ckpt_path`` is null, a file, or ``last`` to continue.
        folder: The run's.
        console: Where a person reads along.

    Returns:
        The configuration as locked, and the checkpoint to begin from.

    Raises:
        ResumeError: The folder is another run's, or there is nothing to continue in it.
    """
    wanted = config.values["ckpt_path"]
    if wanted == LAST:
        return _continued(config, folder, console)
    config = grounded(config)
    checkpoint = config.start.find() if config.start else None
    threads = config.threads or config.values["trainer"]["threads"]
    threads = threads or max(1, torch.get_num_threads() // config.processes)
    config = replace(_seeded(config, console), threads=threads)
    runfolder.require_unused(folder)
    lock = config.to_lock()
    text = _sealed(plain_yaml.dump(lock))
    runfolder.write_bytes(folder / runfolder.RUN_LOCK, text.encode())
    if trust.reaches(config.values, config.home):
        trust.sign(folder, text)
    recipe = plain_yaml.dump(lock["recipe"])
    runfolder.write_bytes(folder / runfolder.RECIPE_LOCK, recipe.encode())
    return config, checkpoint


def grounded(config: RunConfig) -> RunConfig:
    """A configuration that knows by its content the checkpoint it begins from, if any.

    Raises:
        ResumeError: There is no such file.
    """
    wanted = config.values["ckpt_path"]
    if config.start is not None or wanted in (None, LAST):
        return config
    return replace(config, start=StartingPoint.of(config.home / wanted))


def read_lock(folder: Path, allowed: Collection[str] | None = ()) -> RunConfig:
    """The configuration of an earlier run.

    Args:
        folder: The run's.
        allowed: What the lock may ask for beyond the folder, whoever has written it; None:
            whatever it does. See ``trust.reaches``.

    Raises:
        ResumeError: The folder holds no run, or its lock asks for more and is a stranger's.
    """
    path = folder / runfolder.RUN_LOCK
    try:
        text = read_text(path, plain_yaml.LARGEST)
        _require_whole(text)
        lock = plain_yaml.load(text)
        if allowed is not None:
            trust.require(folder, text, trust.reaches(lock["config"], Path()), allowed)
        return RunConfig.from_lock(lock)
    except FileNotFoundError:
        text = f"{runfolder.shown(folder)}: there is no run in this folder"
        if jobs := runfolder.jobs(folder):
            text += f"; it is a sweep, name one of its jobs: run={runfolder.shown(jobs[0])}"
        raise ResumeError(text) from None
    except OSError as error:
        raise ResumeError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResumeError(f"{path}: is damaged: {error}") from None


def require_same(config: RunConfig, folder: Path) -> RunConfig:
    """Make sure that a folder holds a run of this configuration, and return that as locked.

    Raises:
        ResumeError: It does not; the message names what differs.
    """
    locked = read_lock(folder, trust.reaches(config.values, config.home))
    if different := list(_differences(config, locked)):
        more = f" and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
        raise ResumeError(
            f"{runfolder.shown(folder, config.home)} holds a run of another configuration: "
            f"{', '.join(different[:_SHOWN])}{more}; 'run=FOLDER ckpt_path=last' goes on as it was"
        )
    return locked


def unfinished(parent: Path, config: RunConfig) -> Path:
    """The newest folder in ``parent`` of an unfinished run with the same configuration.

    Raises:
        ResumeError: There is none.
    """
    for lock in sorted(parent.glob(f"*/{runfolder.RUN_LOCK}"), reverse=True):
        if not runfolder.is_finished(lock.parent) and is_same(config, lock.parent):
            return lock.parent
    raise ResumeError(f"nothing to continue: no unfinished run of this configuration in {parent}")


def repeated(source: Path, checkpoint: str | None, trusted: bool = False) -> RunConfig:
    """What ``run=FOLDER`` does: the same again, or from a checkpoint named instead.

    Args:
        source: The run's folder.
        checkpoint: A file, or ``last``.
        trusted: Whether its lock may ask for anything, whoever has written it.

    Raises:
        ResumeError: The folder holds no run, or it is to continue a finished one.
    """
    locked = read_lock(source, None if trusted else ())
    if checkpoint is None:
        return locked
    if checkpoint == LAST and runfolder.is_finished(source):
        raise ResumeError(f"{source} is finished; there is nothing to continue")
    start = locked.start if checkpoint == LAST else None
    return replace(locked, values={**locked.values, "ckpt_path": checkpoint}, start=start)


def changed_files(locked: RunConfig) -> list[str]:
    """The person's own files, as a lock names them, that are not what they were."""
    then, now = locked.own_files, locked.with_files_now().own_files
    return sorted(name for name in then if then[name] != now.get(name))


def _continued(config: RunConfig, folder: Path, console: Console) -> tuple[RunConfig, Path | None]:
    shown = runfolder.shown(folder, config.home)
    if not runfolder.has_begun(folder):
        raise ResumeError(f"nothing to continue in {shown}: no run began there")
    locked = require_same(config, folder)
    if runfolder.is_finished(folder):
        raise ResumeError(f"{shown} is finished; there is nothing to continue")
    kept = folder / runfolder.CHECKPOINTS
    found = newest_checkpoint(kept)
    damaged = sorted(p.name for p in kept.glob("step*.ckpt") if found is None or p > found)
    if damaged and found is None:
        again = shlex.quote(f"run={shown}")
        raise ResumeError(
            f"{shown}: every checkpoint is damaged: {', '.join(damaged)}; "
            f"to train it again from the start: pruneflow train {again}"
        )
    if found is not None:
        where = f"from {runfolder.shown(found, config.home)}"
    elif locked.start is not None:
        found = locked.start.find()
        where = f"from {found}, for it has no checkpoint of its own yet"
    else:
        where = "from the start, for there is no checkpoint yet"
    if damaged:
        where += f"; damaged and passed over: {', '.join(damaged)}"
    console.print(f"Continuing {shown} {where}", markup=False, highlight=False)
    config = config.with_seed(locked.seed)
    return replace(config, start=locked.start, threads=locked.threads), found


def _seeded(config: RunConfig, console: Console) -> RunConfig:
    """A configuration whose seed is drawn, where it leaves that open."""
    if config.values["seed"] is not None:
        return config
    config = config.with_seed(randbelow(SEEDS))
    console.print(f"Seed {config.seed}, drawn at random and kept in {runfolder.RUN_LOCK}")
    return config


def is_same(config: RunConfig, folder: Path) -> bool:
    """Whether a folder holds a run of this configuration."""
    try:
        locked = read_lock(folder, trust.reaches(config.values, config.home))
        return not any(_differences(config, locked))
    except UserError:  # damaged, or of words that are no longer there: not this one
        return False


def _differences(config: RunConfig, locked: RunConfig) -> Iterator[str]:
    """Settings that change the network and are not the same, as a person would name them.

    A seed that is left open is the one that was drawn.
    """
    if config.values["seed"] is None:
        config = config.with_seed(locked.seed)
    here, there = dict(_leaves(config.relevant)), dict(_leaves(locked.relevant))
    for key in sorted({*here, *there}):
        mine, theirs = here.get(key, "absent"), there.get(key, "absent")
        if mine != theirs:
            yield f"{key} is {mine} here and {theirs} there"


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, json.dumps(tree, default=str)


def _sealed(text: str) -> str:
    """A lock's text below a line that knows its content."""
    return f"{_SEAL} {hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def _require_whole(text: str) -> None:
    """Make sure that a lock says what it said; one without a seal was written by a person.

    Raises:
        ValueError: It does not.
    """
    first, _, rest = text.partition("\n")
    if first.startswith(_SEAL) and _sealed(rest) != text:
        raise ValueError(
            "its checksum differs (whoever has changed it on purpose deletes its first line)"
        )
