"""``pruneflow train``: single runs, sweeps, resumed and repeated runs."""

from __future__ import annotations

import sys
import traceback
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from pruneflow import runfolder
from pruneflow.cli.arguments import only_shows, parse, value, without
from pruneflow.errors import ConfigError, PruneFlowError, ResumeError

CKPT, RUN, RUN_DIR = "ckpt_path", "run", "hydra.run.dir"


def main(arguments: Sequence[str]) -> int:
    """Train what a command line asks for."""
    parsed = parse(arguments)
    if only_shows(parsed):
        from pruneflow.cli.hydra_app import show

        return show("train", parsed)
    if value(parsed.overrides, RUN) is not None:
        return _again(parsed.overrides)
    from pruneflow.cli.hydra_app import execute
    from pruneflow.cli.jobs import Composer
    from pruneflow.training.planning import preview

    composer = Composer("train", parsed)
    jobs = composer.jobs(parsed.overrides, parsed.multirun)
    for job in jobs:
        preview(job.config)  # every mistake shows before the first job starts
    overrides = list(parsed.overrides)
    if parsed.multirun:
        return _sweep(parsed, composer, overrides)
    folder = jobs[0].folder
    if jobs[0].config.values[CKPT] == "last" and value(overrides, RUN_DIR) is None:
        folder = _unfinished(folder.parent, jobs[0].config.digest)
    execute("train", parsed, task, [*without(overrides, RUN_DIR), f"{RUN_DIR}='{folder}'"])
    return 0


def task(config: DictConfig) -> float | None:
    """One job, in this process or a worker's. Returns its test accuracy, for sweepers."""
    from hydra.core.hydra_config import HydraConfig

    from pruneflow.cli.hydra_app import register_resolvers
    from pruneflow.cli.jobs import plain
    from pruneflow.recipe import schema
    from pruneflow.recipe.references import resolve
    from pruneflow.training.config import RunConfig
    from pruneflow.user_code import import_modules

    register_resolvers()  # this may be a worker process
    hydra: Any = HydraConfig.get()
    tree = plain(config)
    import_modules(tree["imports"])
    name = str(hydra.runtime.choices.recipe)
    recipe_tree: Any = _unresolved(config)
    recipe = schema.build(resolve(recipe_tree, lambda path: name), name)
    is_sweep = hydra.mode is not None and hydra.mode.name == "MULTIRUN"
    try:
        result = _train(RunConfig.from_tree(tree, recipe), Path(hydra.runtime.output_dir))
    except Exception as error:
        if is_sweep:
            _lament(f"job {hydra.job.num} failed", error)
        raise
    final = result["accuracy"]["final"]
    return None if final is None else float(final)


def _train(config: Any, folder: Path) -> dict[str, Any]:
    from pruneflow.report.tables import run_table
    from pruneflow.training.job import train

    console = Console()
    try:
        result = train(config, folder, console)
    except (KeyboardInterrupt, SystemExit) as stop:
        console.print(f"\nInterrupted. To go on: {_resume_command(folder)}", soft_wrap=True)
        raise KeyboardInterrupt from stop
    console.print(run_table(result))
    console.print(f"Run folder: {folder}", highlight=False, soft_wrap=True)
    return result


def _again(overrides: Sequence[str]) -> int:
    """``run=FOLDER``: repeat that run in a new folder, or with ``ckpt_path=last`` continue it."""
    from datetime import datetime

    from pruneflow.training.config import RunConfig
    from pruneflow.training.job import read_lock

    others = without(overrides, RUN, CKPT, RUN_DIR)
    if others:
        raise ConfigError(f"run=FOLDER repeats a run as it was; '{others[0]}' would change it")
    source = Path(value(overrides, RUN) or "")
    locked = read_lock(source)
    checkpoint = value(overrides, CKPT)
    if checkpoint == "last":
        if runfolder.is_finished(source):
            raise ResumeError(f"{source} is finished; there is nothing to continue")
        folder = source
    else:
        stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
        folder = Path(value(overrides, RUN_DIR) or source.parent / stamp)
    config = RunConfig({**locked.values, CKPT: checkpoint}, locked.recipe)
    _train(config, folder)
    return 0


def _unfinished(parent: Path, digest: str) -> Path:
    """The newest folder of an unfinished run with the same configuration."""
    from pruneflow.training.job import read_lock

    for lock in sorted(parent.glob(f"*/{runfolder.RUN_LOCK}"), reverse=True):
        folder = lock.parent
        if not runfolder.is_finished(folder) and read_lock(folder).digest == digest:
            return folder
    raise ResumeError(f"nothing to continue: no unfinished run of this configuration in {parent}")


def _sweep(parsed: Namespace, composer: Any, overrides: list[str]) -> int:
    from pruneflow.cli.hydra_app import execute
    from pruneflow.report.sweep import summarize

    folder = Path(value(overrides, "hydra.sweep.dir") or str(composer.sweep_folder(overrides)))
    failure: Exception | None = None
    try:
        execute("train", parsed, task, [*without(overrides, "hydra.sweep.dir"),
                                        f"hydra.sweep.dir='{folder}'"])  # fmt: skip
    except Exception as error:  # reported when the job failed; the table is still due
        failure = error
    console = Console()
    summarize(folder, console)
    if failure is None:
        return 0
    return failure.exit_code if isinstance(failure, PruneFlowError) else 1


def _unresolved(config: DictConfig) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config.recipe, resolve=False)


def _resume_command(folder: Path) -> str:
    return f"pruneflow train run={folder} ckpt_path=last"


def _lament(what: str, error: Exception) -> None:
    if isinstance(error, PruneFlowError):
        print(f"pruneflow: {what}: {error}", file=sys.stderr, flush=True)  # noqa: T201
    else:
        print(f"pruneflow: {what}:", file=sys.stderr)  # noqa: T201
        traceback.print_exception(error)
