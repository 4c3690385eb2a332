"""``pruneflow train``: single runs, sweeps, resumed and repeated runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.cli.arguments import only_shows, parse, value, without
from pruneflow.errors import ConfigError

CKPT, RUN, TRUST = "ckpt_path", "run", "trust"


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
    from pruneflow.cli.launchers import require_launcher, runs_elsewhere
    from pruneflow.training.budget import Budget
    from pruneflow.training.planning import preview
    from pruneflow.training.preflight import require_here

    jobs = composer.jobs(parsed.overrides, parsed.multirun)
    if jobs and (budget := Budget.of(jobs[0].config.values.get("budget"))) is not None:
        from pruneflow.cli.budget import search

        return search(parsed, composer, jobs[0], budget)
    elsewhere = False
    if parsed.multirun:
        master = composer.master(parsed.overrides)
        require_launcher(master)
        elsewhere = runs_elsewhere(master)
    plans = []
    for job in jobs:
        if not elsewhere:
            require_here(job.config)
        plans.append(preview(job.config).plan)  # every mistake shows before the first job starts
    if not parsed.multirun:
        return _single(parsed, jobs[0])
    from pruneflow.cli.sweeping import sweep

    return sweep(parsed, composer, jobs, plans)


def _single(parsed: Namespace, job: Any) -> int:
    from pruneflow.cli.hydra_app import RUN_DIR, execute
    from pruneflow.cli.task import task
    from pruneflow.training.resume import LAST, unfinished

    folder = job.folder
    if value(parsed.overrides, RUN_DIR) is None:
        if job.config.values[CKPT] == LAST:
            folder = unfinished(folder.parent, job.config)
        else:
            with runfolder.writing(folder):
                folder = runfolder.new(folder)
    execute("train", parsed, task, parsed.overrides, folder)
    return 0


def _again(overrides: Sequence[str], composer: Any) -> int:
    """``run=FOLDER``: repeat that run in a new folder, or with ``ckpt_path=last`` continue it."""
    from pruneflow.cli.console import PlainConsole
    from pruneflow.cli.hydra_app import RUN_DIR
    from pruneflow.cli.task import trained
    from pruneflow.training.resume import LAST, changed_files, repeated

    others = without(overrides, RUN, CKPT, RUN_DIR, TRUST)
    if others:
        raise ConfigError(f"run=FOLDER repeats a run as it was; '{others[0]}' would change it")
    source, checkpoint = Path(value(overrides, RUN) or ""), value(overrides, CKPT)
    if (trusts := value(overrides, TRUST)) not in (None, "true", "false"):
        raise ConfigError(f"command line (trust={trusts}): needs true or false")
    config = repeated(source, checkpoint, trusts == "true")
    if other := changed_files(config):
        PlainConsole().print(f"Changed since {source} began: {', '.join(other)}", soft_wrap=True)
    if checkpoint == LAST:
        folder = source
    elif value(overrides, RUN_DIR) is not None:
        folder = Path(composer.run_folder(without(overrides, RUN, CKPT, TRUST)))
    else:
        name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        with runfolder.writing(source.parent):
            folder = runfolder.new(source.parent / name)
    trained(config if checkpoint == LAST else config.with_files_now(), folder)
    return 0
