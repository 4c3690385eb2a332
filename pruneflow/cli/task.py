"""One job: what Hydra calls for a single run and for each point of a sweep."""

from __future__ import annotations

import shlex
import traceback
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pruneflow import runfolder
from pruneflow.cli.complain import complain
from pruneflow.cli.console import PlainConsole
from pruneflow.errors import PruneFlowError


class JobError(PruneFlowError):
    """A job of a sweep failed, and has said so; the others go on."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def task(config: DictConfig) -> float | JobError | None:
    """One job, in this process or a worker's.

    Returns:
        Its test accuracy, for sweepers. Where Hydra's own sweeper asks, a failure is returned
        and not raised: it has been told, and Hydra would add a line that helps nobody.
    """
    from hydra.core.hydra_config import HydraConfig

    from pruneflow.cli.jobs import sweeps_plainly

    hydra: Any = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    if hydra.mode is None or hydra.mode.name != "MULTIRUN":
        return _score(trained(_run_config(config, hydra), folder))
    try:
        with runfolder.writing(folder):
            runfolder.mark_job(folder)
        return _score(_job_of_sweep(_run_config(config, hydra), folder, str(hydra.job.num)))
    except Exception as error:
        _lament(f"job {hydra.job.num} failed", error)
        failure = JobError(error.exit_code if isinstance(error, PruneFlowError) else 1)
        if not sweeps_plainly(HydraConfig.instance().cfg):
            raise failure from error
        return failure


def failures(results: Any) -> list[JobError]:
    """The failures among what Hydra's own sweeper returned; others return what they like."""
    batches = results if isinstance(results, list) else []
    returned = [job._return_value for batch in batches for job in batch]
    return [value for value in returned if isinstance(value, JobError)]


def trained(config: Any, folder: Path) -> dict[str, Any]:
    """Train, and show the outcome; on Ctrl-C tell how to go on."""
    from pruneflow.report.tables import run_table
    from pruneflow.training.job import train

    console, shown = PlainConsole(), runfolder.shown(folder, config.home)
    try:
        with runfolder.writing(folder):
            result = train(config, folder, console)
    except (KeyboardInterrupt, SystemExit) as stop:
        again = f"pruneflow train {shlex.quote(f'run={shown}')} ckpt_path=last"
        hint = f" To go on: {again}" if runfolder.has_begun(folder) else ""
        console.print(f"\nInterrupted.{hint}", soft_wrap=True)
        raise KeyboardInterrupt from stop
    console.print(run_table(result))
    console.print(f"Run folder: {shown}", soft_wrap=True)
    return result


def _run_config(config: DictConfig, hydra: Any) -> Any:
    from pruneflow.cli.hydra_app import register_resolvers
    from pruneflow.cli.jobs import plain
    from pruneflow.recipe import schema
    from pruneflow.recipe.references import resolve
    from pruneflow.training.config import RunConfig
    from pruneflow.user_code import import_modules, make_importable

    register_resolvers()  # this may be a worker process
    home = Path(hydra.runtime.cwd)
    make_importable(home)
    tree = plain(config)
    import_modules(tree["imports"])
    name = str(hydra.runtime.choices.recipe)
    recipe_tree: Any = OmegaConf.to_container(config.recipe, resolve=False)
    recipe = schema.build(resolve(recipe_tree, lambda path: name), name)
    return RunConfig.from_tree(tree, recipe, home)


def _job_of_sweep(config: Any, folder: Path, number: str) -> dict[str, Any]:
    """Train a job; with ``ckpt_path=last`` whatever of the sweep is left."""
    from pruneflow.training.resume import LAST, anew, job_result

    if config.values["ckpt_path"] == LAST:
        result = job_result(config, folder)
        if result is not None:
            shown = runfolder.shown(folder, config.home)
            PlainConsole().print(f"Job {number} is finished: {shown}", soft_wrap=True)
            return result
        if not runfolder.has_begun(folder):
            config = anew(config, folder)
    return trained(config, folder)


def _score(result: dict[str, Any]) -> float | None:
    final = result["accuracy"]["final"]
    return None if final is None else float(final)


def _lament(what: str, error: Exception) -> None:
    if isinstance(error, PruneFlowError):
        complain(f"{what}: {error}")
    else:
        complain(f"{what}:")
        traceback.print_exception(error)
