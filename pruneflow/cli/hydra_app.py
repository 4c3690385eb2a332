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
from pruneflow.recipe import library
from pruneflow.recipe.complaints import reported
from pruneflow.recipe.hydra_source import register

RUN_DIR, SWEEP_DIR = "hydra.run.dir", "hydra.sweep.dir"


def register_resolvers() -> None:
    """Resolvers that ``conf/`` uses, Hydra's own included; asking twice does no harm."""
    from hydra.core.utils import setup_globals

    setup_globals()
    OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def run_name(recipe: str | None) -> str:
    """A recipe's name or path as the name of a folder."""
    return re.sub(r"[^\w.-]+", "_", str(recipe)).strip("._").removesuffix(".yaml") or "run"


def show(command: str, parsed: Namespace) -> int:
    """``--help``, ``--cfg``, ``--info`` and the like, by Hydra itself."""
    from hydra._internal.utils import _run_hydra, get_args_parser

    register()
    with reported(), groups_without_copies():
        _run_hydra(parsed, get_args_parser(), _nothing, _conf(), command)
    return 0


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
    from hydra._internal.hydra import Hydra
    from hydra.core.global_hydra import GlobalHydra

    from pruneflow.recipe.compose import search_path

    raised: list[Exception] = []

    def single(config: DictConfig) -> None:
        try:
            task(config)
        except Exception as error:  # Hydra would print a line of its own
            raised.append(error)

    register()
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2(
        task_name=command, config_search_path=search_path(parsed.config_path, parsed.config_dir)
    )
    try:
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
    finally:
        GlobalHydra.instance().clear()


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


def _nothing(config: DictConfig) -> None:
    """The task where there is nothing to run."""


def _conf() -> str:
    return str(library.data_root() / "conf")
