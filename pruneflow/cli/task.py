"""A single run: what Hydra calls for it, and what a person sees of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pruneflow import runfolder
from pruneflow.cli.console import PlainConsole
from pruneflow.errors import ResumeError


def task(config: DictConfig) -> None:
    """One run, in the folder that Hydra was given."""
    from hydra.core.hydra_config import HydraConfig

    hydra: Any = HydraConfig.get()
    trained(run_config(config, hydra), Path(hydra.runtime.output_dir))


def trained(config: Any, folder: Path) -> None:
    """Train, and show the outcome; where it stops before the end, tell how to go on."""
    from pruneflow.training.progress import NOBODY
    from pruneflow.training.shared.work import ALONE

    try:
        shown_result(config, folder, NOBODY, ALONE)
    except (KeyboardInterrupt, SystemExit, BrokenPipeError) as stop:
        PlainConsole().print(f"\nInterrupted.{_hint(folder, config.home)}", soft_wrap=True)
        raise KeyboardInterrupt from stop
    except ResumeError:  # it did not even begin to go on
        raise
    except Exception:
        if hint := _hint(folder, config.home):
            PlainConsole().print(f"\nStopped by an error.{hint}", soft_wrap=True)
        raise


def _hint(folder: Path, home: Path) -> str:
    """How a run goes on that is not finished."""
    if not runfolder.has_begun(folder) or runfolder.is_finished(folder):
        return ""
    again = shlex.quote(f"run={runfolder.shown(folder, home)}")
    return f" To go on: pruneflow train {again} ckpt_path=last"


def shown_result(config: Any, folder: Path, watch: Any, common: Any) -> dict[str, Any]:
    """Train, and show what came out.

    Returns:
        What ``result.json`` holds.
    """
    from pruneflow.report.tables import run_table
    from pruneflow.training.job import train

    console = PlainConsole()
    with runfolder.writing(folder):
        result = train(config, folder, console, watch, common)
    console.print(run_table(result))
    console.print(f"Run folder: {runfolder.shown(folder, config.home)}", soft_wrap=True)
    return result


def run_config(config: DictConfig, hydra: Any) -> Any:
    """The run configuration in what Hydra composed, in this process or a worker's."""
    from pruneflow.cli.hydra_app import register_resolvers
    from pruneflow.cli.jobs import plain
    from pruneflow.recipe import schema
    from pruneflow.recipe.references import resolve
    from pruneflow.training.config import RunConfig
    from pruneflow.user_code import import_modules, make_importable

    register_resolvers()
    home = Path(hydra.runtime.cwd)
    tree = plain(config)
    if tree["imports"]:
        make_importable(home)
        import_modules(tree["imports"])
    name = str(hydra.runtime.choices.recipe)
    recipe_tree: Any = OmegaConf.to_container(config.recipe, resolve=False)
    recipe = schema.build(resolve(recipe_tree, lambda path: name), name)
    return RunConfig.from_tree(tree, recipe, home)
