"""Hydra as the engine of single runs and sweeps; its errors are reported in our way."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pruneflow.recipe import library
from pruneflow.recipe.complaints import reported
from pruneflow.recipe.hydra_source import register


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
    with reported():
        _run_hydra(parsed, get_args_parser(), _nothing, _conf(), command)
    return 0


def execute(
    command: str,
    parsed: Namespace,
    task: Callable[[DictConfig], Any],
    overrides: Sequence[str],
) -> None:
    """Run a task once, or with ``-m`` once for each point of the sweep.

    Whatever the task raises comes through; in a sweep after all other jobs have run.
    """
    from hydra._internal.hydra import Hydra
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobStatus

    from pruneflow.recipe.compose import search_path

    register()
    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2(
        task_name=command, config_search_path=search_path(parsed.config_path, parsed.config_dir)
    )
    try:
        run = hydra.multirun if parsed.multirun else hydra.run
        mode = "MULTIRUN" if parsed.multirun else "RUN"
        result = run(
            config_name=parsed.config_name or command,
            task_function=task,
            overrides=[*overrides, f"hydra.mode={mode}"],
        )
        if not parsed.multirun and result.status is JobStatus.FAILED:
            raise result._return_value  # its property would print a line of its own
    finally:
        GlobalHydra.instance().clear()


def _nothing(config: DictConfig) -> None:
    """The task where there is nothing to run."""


def _conf() -> str:
    return str(library.data_root() / "conf")
