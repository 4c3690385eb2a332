"""Hydra as the engine of single runs and sweeps; its errors are reported in our way."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pruneflow import runfolder
from pruneflow.cli.arguments import without
from pruneflow.cli.quoting import quoted
from pruneflow.errors import ConfigError
from pruneflow.recipe.complaints import reported
from pruneflow.recipe.hydra_source import register

RUN_DIR, SWEEP_DIR = "hydra.run.dir", "hydra.sweep.dir"

SHOWN = ("help", "hydra_help", "cfg", "info", "shell_completion")
"""What is shown where nothing is run."""


def register_resolvers() -> None:
    """Resolvers that ``conf/`` uses, Hydra's own included; asking twice does no harm."""
    from hydra.core.utils import setup_globals

    setup_globals()
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def run_name(recipe: str | None) -> str:
    """A recipe's name or path as the name of a folder."""
    return re.sub(r"[^\w.-]+", "_", str(recipe)).strip("._").removesuffix(".yaml") or "run"


def show(command: str, parsed: Namespace) -> int:
    """``--help``, ``--cfg``, ``--info`` and the like, in Hydra's words.

    Raises:
        UserError: It cannot be composed, or two of them are asked for at once.
    """
    from hydra._internal.utils import get_args_parser

    wanted = [flag for flag in SHOWN if getattr(parsed, flag) not in (False, None)]
    if len(wanted) > 1 or parsed.multirun:
        text = ", ".join(f"--{flag.replace('_', '-')}" for flag in SHOWN)
        raise ConfigError(f"one of {text} at a time, and none of them with -m")
    register_resolvers()
    name, overrides = parsed.config_name or command, parsed.overrides
    texts = {"args_parser": get_args_parser(), "args": parsed}
    with _hydra(command, parsed) as hydra, reported(), groups_without_copies():
        if parsed.help:
            hydra.app_help(config_name=name, **texts)
        elif parsed.hydra_help:
            hydra.hydra_help(config_name=name, **texts)
        elif parsed.cfg:
            how = {"package": parsed.package, "resolve": parsed.resolve}
            try:
                hydra.show_cfg(config_name=name, overrides=overrides, cfg_type=parsed.cfg, **how)
            except SystemExit:  # there is no such package, as Hydra has said
                return 2
        elif parsed.shell_completion:
            hydra.shell_completion(config_name=name, overrides=overrides)
        else:
            hydra.show_info(parsed.info, config_name=name, overrides=overrides)
    return 0


@contextmanager
def _hydra(command: str, parsed: Namespace) -> Iterator[Any]:
    """Context: Hydra set up for a command line."""
    from hydra._internal.hydra import Hydra
    from hydra.core.global_hydra import GlobalHydra

    from pruneflow.recipe.compose import search_path

    register()
    GlobalHydra.instance().clear()
    path = search_path(parsed.config_path, parsed.config_dir)
    try:
        yield Hydra.create_main_hydra2(task_name=command, config_search_path=path)
    finally:
        GlobalHydra.instance().clear()


def execute(
    command: str,
    parsed: Namespace,
    task: Callable[[DictConfig], Any],
    overrides: Sequence[str],
    folder: Path,
) -> Any:
    """Run a task once, or with ``-m`` once for each point of the sweep.

    Args:
        command: The primary configuration's name.
        parsed: The command line.
        task: What to run.
        overrides: In place of those of ``parsed``.
        folder: Where everything goes.

    Returns:
        Of a sweep, whatever its sweeper returns.

    Raises:
        Exception: Whatever the task of a single run raises.
        UserError: Hydra cannot set it up, or the folder cannot be written.
    """
    raised: list[Exception] = []

    def single(config: DictConfig) -> None:
        try:
            task(config)
        except Exception as error:  # Hydra would print a line of its own
            raised.append(error)

    with _hydra(command, parsed) as hydra:
        run = hydra.multirun if parsed.multirun else hydra.run
        mode, key = ("MULTIRUN", SWEEP_DIR) if parsed.multirun else ("RUN", RUN_DIR)
        placed = [*without(overrides, key), f"{key}={quoted(str(folder))}", f"hydra.mode={mode}"]
        with reported(), runfolder.writing(folder):
            result = run(
                config_name=parsed.config_name or command,
                task_function=task if parsed.multirun else single,
                overrides=placed,
            )
        if raised:
            raise raised[0]
        return result


@contextmanager
def groups_without_copies() -> Iterator[None]:
    """Context: what config groups hold is read where it is; Hydra copies all its sources first.

    A help text asks for some forty groups, which would be half of its time.
    """
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.object_type import ObjectType

    place: Any = ConfigLoaderImpl
    own = ConfigLoaderImpl.get_group_options

    def options(
        loader: ConfigLoaderImpl,
        group_name: str,
        results_filter: ObjectType | None = ObjectType.CONFIG,
        config_name: str | None = None,
        overrides: list[str] | None = None,
    ) -> list[str]:
        if config_name is not None or overrides:  # these may change the search path
            return own(loader, group_name, results_filter, config_name, overrides)
        return loader.repository.get_group_options(group_name, results_filter)

    place.get_group_options = options
    try:
        yield
    finally:
        place.get_group_options = own
