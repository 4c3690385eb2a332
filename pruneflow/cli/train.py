"""``pruneflow train``: single runs, sweeps, resumed and repeated runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pruneflow.cli.arguments import only_shows, parse, value, without
from pruneflow.errors import ConfigError, ResumeError

CKPT, RUN = "ckpt_path", "run"


def main(arguments: Sequence[str]) -> int:
    """Train what a command line asks for."""
    parsed = parse(arguments)
    if only_shows(parsed):
        from pruneflow.cli.hydra_app import show

        return show("train", parsed)
    from pruneflow.cli.jobs import Composer

    composer = Composer("train", parsed)
    if value(parsed.overrides, RUN) is not None:
        return _again(parsed.overrides, composer)
    from pruneflow.training.planning import preview

    jobs = composer.jobs(parsed.overrides, parsed.multirun)
    for job in jobs:
        preview(job.config)  # every mistake shows before the first job starts
    return _sweep(parsed, composer) if parsed.multirun else _single(parsed, jobs[0])


def _single(parsed: Namespace, job: Any) -> int:
    from pruneflow.cli.hydra_app import RUN_DIR, execute
    from pruneflow.cli.task import task
    from pruneflow.training.resume import LAST, unfinished

    folder = job.folder
    if job.config.values[CKPT] == LAST and value(parsed.overrides, RUN_DIR) is None:
        folder = unfinished(folder.parent, job.config)
    execute("train", parsed, task, parsed.overrides, folder)
    return 0


def _sweep(parsed: Namespace, composer: Any) -> int:
    from pruneflow import runfolder
    from pruneflow.cli.console import PlainConsole
    from pruneflow.cli.hydra_app import execute
    from pruneflow.cli.task import JobError, failures, task
    from pruneflow.report.sweep import summarize

    folder = Path(composer.sweep_folder(parsed.overrides))
    if value(parsed.overrides, CKPT) == "last" and not folder.is_dir():
        raise ResumeError(
            f"nothing to continue: no sweep in {folder}; write hydra.sweep.dir=FOLDER"
        )
    try:
        failed = failures(execute("train", parsed, task, parsed.overrides, folder))
    except JobError as error:  # a sweeper that stops at the first one
        failed = [error]
    finally:
        with runfolder.writing(folder):
            summarize(folder, PlainConsole())
    return failed[0].exit_code if failed else 0


def _again(overrides: Sequence[str], composer: Any) -> int:
    """``run=FOLDER``: repeat that run in a new folder, or with ``ckpt_path=last`` continue it."""
    from pruneflow.cli.hydra_app import RUN_DIR
    from pruneflow.cli.task import trained
    from pruneflow.training.resume import LAST, repeated

    others = without(overrides, RUN, CKPT, RUN_DIR)
    if others:
        raise ConfigError(f"run=FOLDER repeats a run as it was; '{others[0]}' would change it")
    source, checkpoint = Path(value(overrides, RUN) or ""), value(overrides, CKPT)
    config = repeated(source, checkpoint)
    if checkpoint == LAST:
        folder = source
    elif value(overrides, RUN_DIR) is not None:
        folder = Path(composer.run_folder(without(overrides, RUN, CKPT)))
    else:
        folder = source.parent / datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    trained(config, folder)
    return 0
