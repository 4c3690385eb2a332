"""``pruneflow train -m``: a sweep begins, goes on with what is left, and ends in a summary."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from pruneflow import runfolder
from pruneflow.cli.arguments import value
from pruneflow.cli.complain import complain
from pruneflow.cli.console import PlainConsole
from pruneflow.cli.dispatch import KILLED_WORKER, Way, dispatched
from pruneflow.cli.hydra_app import SWEEP_DIR, execute
from pruneflow.cli.jobs import Composer, Job
from pruneflow.cli.live import lines, live
from pruneflow.cli.sweep_job import JobError, failures, job_task
from pruneflow.errors import ConfigError
from pruneflow.recipe.complaints import reported
from pruneflow.recipe.plan import Plan
from pruneflow.report.sweep import summarize
from pruneflow.sweep.earlier import homes, outdated
from pruneflow.sweep.place import Asked, Sweep, opened
from pruneflow.sweep.sharing import sharing
from pruneflow.training.config import RunConfig
from pruneflow.training.resume import LAST, grounded

CKPT, FRESH = "ckpt_path", "fresh"
ANEW = "To train all anew: fresh=true"
AGAIN = "To go on, type the same command again"


def sweep(parsed: Namespace, composer: Composer, jobs: Sequence[Job], plans: Sequence[Plan]) -> int:
    """Run the jobs of a sweep that are not finished yet.

    Args:
        parsed: The command line.
        composer: Of its configurations.
        jobs: Those it asks for; none where a sweeper chooses them on its way.
        plans: What each of them does.

    Returns:
        The exit code.
    """
    console = PlainConsole()
    configs = [grounded(job.config) for job in jobs]
    asked = _asked(parsed, composer, [config.digest for config in configs])
    with (
        runfolder.writing(asked.folder),
        opened(asked, lambda text: console.print(text, soft_wrap=True)) as place,
    ):
        left: list[int] = []
        if jobs:
            left = _left(place, configs, console)
            if not left:
                summarize(place.folder, console)
                return 0
            common = sharing([configs[n] for n in left], [plans[n] for n in left])
            place = replace(place, points=common.points)
            if told := str(common):
                console.print(told, soft_wrap=True)
        again = f"{AGAIN}, without fresh=true." if asked.fresh else f"{AGAIN}."
        master = composer.master(parsed.overrides)
        way = Way.of(master, configs, set(range(len(jobs))).difference(left))
        return _run(parsed, place, jobs, way, console, again)


def _asked(parsed: Namespace, composer: Composer, hashes: list[str]) -> Asked:
    overrides = parsed.overrides
    master = composer.master(overrides)
    fresh, last = master.get(FRESH, False), value(overrides, CKPT) == LAST
    if not isinstance(fresh, bool):
        raise ConfigError(f"fresh={fresh}: needs true or false")
    if fresh and last:
        raise ConfigError("fresh=true begins anew and ckpt_path=last goes on: choose one")
    with reported():
        folder = Path(os.path.abspath(str(master.hydra.sweep.dir)))
    named = value(overrides, SWEEP_DIR) is not None
    return Asked(folder, named, fresh, last, hashes or None)


def _left(sweep: Sweep, configs: Sequence[RunConfig], console: PlainConsole) -> list[int]:
    """Say what earlier jobs have done already; the numbers of jobs that are still to train."""
    found = [homes(config, sweep.folder / str(n), sweep) for n, config in enumerate(configs)]
    finished = {n for n, runs in enumerate(found) if runs and runfolder.is_finished(runs[0])}
    begun, total, done = sum(map(bool, found)), len(configs), len(finished)
    shown = runfolder.shown(sweep.folder)
    if configs and done == total:
        console.print(f"Every job is finished: {shown}. {ANEW}", soft_wrap=True)
        for number, runs in enumerate(found):
            if not runs[0].is_relative_to(sweep.folder):
                runfolder.mark_job(sweep.folder / str(number), runs[0])
    elif begun:
        counts = (f"{done} finished", f"{begun - done} to go on with", f"{total - begun} to begin")
        told = ", ".join(count for count in counts if not count.startswith("0 "))
        console.print(f"Continuing {shown}: of {total} jobs {told}. {ANEW}", soft_wrap=True)
    elif before := outdated(configs[0], sweep):
        names, then = ", ".join(before[1]), runfolder.shown(before[0])
        console.print(f"Changed since {then}: {names}. Every job is trained anew.", soft_wrap=True)
    return [number for number in range(total) if number not in finished]


def _run(
    parsed: Namespace,
    place: Sweep,
    jobs: Sequence[Job],
    way: Way,
    console: PlainConsole,
    again: str,
) -> int:
    """Let Hydra run every job; those that are finished say so and are done."""
    is_live = sys.stdout.isatty() and not console.is_dumb_terminal
    place = replace(place, live=is_live or way.is_silent)
    watched: AbstractContextManager[None] = nullcontext()
    if place.live:
        watched = live(place.folder, told_apart(jobs)) if is_live else lines(place.folder)
    interrupted = False
    try:
        with watched, dispatched(place, way.finished):
            task = partial(job_task, sweep=place)
            given = [*parsed.overrides, *way.overrides]
            results = execute("train", parsed, task, given, place.folder)
        failed = failures(results)
    except JobError as error:  # a sweeper that stops at the first one
        failed = [error]
    except KeyboardInterrupt:
        interrupted = True
        raise
    except Exception as error:
        if type(error).__name__ != KILLED_WORKER:
            raise
        complain(f"a worker process was killed, perhaps for want of memory. {again}")
        failed = [JobError(1)]
    finally:
        summarize(place.folder, console)
        if interrupted:
            console.print(f"Interrupted. {again}", soft_wrap=True)
    return failed[0].exit_code if failed else 0


def told_apart(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """What tells each job of a sweep from the others: its own values of the keys that vary."""
    common = set.intersection(*(set(job.overrides) for job in jobs)) if jobs else set()
    return [dict(_short(word) for word in job.overrides if word not in common) for job in jobs]


def _short(override: str) -> tuple[str, str]:
    key, _, chosen = override.lstrip("+").partition("=")
    return key.rpartition(".")[2], chosen
