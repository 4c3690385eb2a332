"""Every job of a command line, composed, checked and planned before the first one starts."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pruneflow.cli.hydra_app import register_resolvers
from pruneflow.cli.quoting import unquoted
from pruneflow.errors import ConfigError, Problem, RecipeError, did_you_mean
from pruneflow.recipe import library
from pruneflow.recipe.complaints import reported
from pruneflow.recipe.compose import config_loader, from_config
from pruneflow.recipe.schema import KNOBS, TOP_LEVEL
from pruneflow.training.config import KEYS, RunConfig
from pruneflow.user_code import import_modules

BASIC_SWEEPER = "BasicSweeper"
MOST_JOBS = 10_000
"""Of a sweep; more can only be a slip."""


@dataclass(frozen=True)
class Job:
    """One point of a sweep, or a single run.

    Attributes:
        config: What it does.
        overrides: What the command line says about it.
        folder: Where Hydra would put it, for a single run.
    """

    config: RunConfig
    overrides: tuple[str, ...]
    folder: Path


class Composer:
    """Composes a command's configuration for lists of overrides.

    Args:
        command: The primary configuration's name.
        parsed: The command line.
    """

    def __init__(self, command: str, parsed: Namespace) -> None:
        register_resolvers()
        self.command = parsed.config_name or command
        self.loader = config_loader(parsed.config_path, parsed.config_dir)
        self._masters: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of one job, Hydra's own part included.

        Raises:
            RecipeError: It does not compose.
        """
        with reported():
            config = self.loader.load_configuration(
                self.command, list(overrides), RunMode.RUN, from_shell=False
            )
        HydraConfig.instance().set_config(config)  # ${hydra:...} may be asked for below
        return config

    def job(self, overrides: Sequence[str]) -> Job:
        """One job.

        Raises:
            UserError: It cannot be run as it stands.
        """
        _require_inside(overrides)
        require_known(overrides, (*KEYS, "recipe", *KNOBS))
        config = self.compose(overrides)
        if OmegaConf.select(config, "recipe") is None:
            names = ", ".join(library.names())
            raise ConfigError(f"no recipe given; write recipe=NAME. Available: {names}")
        with reported():
            tree = plain(config)
            folder = Path(str(config.hydra.run.dir))
        import_modules(tree.get("imports"))
        recipe = from_config(config, self.loader, self.command, overrides)
        return Job(RunConfig.from_tree(tree, recipe), tuple(overrides), folder)

    def tree(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The configuration of a command without a recipe, as plain data.

        Raises:
            ConfigError: It does not compose.
        """
        with reported():
            return plain(self.compose(overrides))

    def run_folder(self, overrides: Sequence[str]) -> str:
        """Where a single run goes, whatever it runs."""
        config = self.compose(overrides)
        with reported():
            return str(config.hydra.run.dir)

    def jobs(self, overrides: Sequence[str], multirun: bool) -> list[Job]:
        """All jobs of a command line.

        Raises:
            UserError: One of them cannot be run as it stands.
        """
        if not multirun:
            return [self.job(overrides)]
        return [self.job(point) for point in self.points(overrides)]

    def master(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a sweep as a whole: what its jobs have in common."""
        key = tuple(overrides)
        if key not in self._masters:
            with reported():
                self._masters[key] = self.loader.load_configuration(
                    self.command, list(overrides), RunMode.MULTIRUN, from_shell=False
                )
        return self._masters[key]

    def points(self, overrides: Sequence[str]) -> Iterator[list[str]]:
        """The override lists of a sweep, in the order Hydra's basic sweeper runs them.

        Another sweeper chooses its points while it runs: then there are none to check here.
        """
        from hydra.core.override_parser.overrides_parser import OverridesParser

        _require_one_recipe(overrides)
        master = self.master(overrides)
        with reported():
            if not sweeps_plainly(master):
                return
            from_config = [f"{k}={v}" for k, v in (master.hydra.sweeper.params or {}).items()]
            parser = OverridesParser.create(config_loader=self.loader)
            parsed = parser.parse_overrides([*from_config, *overrides])
        choices = []
        for override in parsed:
            if override.is_sweep_override():
                key = override.get_key_element()
                values = islice(override.sweep_string_iterator(), MOST_JOBS + 1)
                choices.append([f"{key}={v}" for v in values])
            elif override.input_line is not None:
                choices.append([override.input_line])
        if prod(map(len, choices)) > MOST_JOBS:
            raise ConfigError(f"the sweep has more than {MOST_JOBS:,} jobs: give fewer values")
        yield from (list(point) for point in product(*choices))


def sweeps_plainly(config: Any) -> bool:
    """Whether Hydra's own sweeper runs the jobs: then all points are known beforehand."""
    return str(config.hydra.sweeper._target_).endswith(BASIC_SWEEPER)


def plain(config: DictConfig) -> dict[str, Any]:
    """A composed configuration without Hydra's part and the recipe, references resolved."""
    keys = [str(key) for key in config if key not in ("hydra", "recipe")]
    masked = OmegaConf.masked_copy(config, keys)
    masked._set_parent(None)
    tree: Any = OmegaConf.to_container(masked, resolve=True)
    return dict(tree)


def require_known(overrides: Sequence[str], keys: Sequence[str]) -> None:
    """Refuse mistyped keys with a suggestion, which Hydra does not make.

    Raises:
        ConfigError: An override is of no key of the command's, and not of Hydra's.
    """
    known = (*keys, "hydra")
    for override in overrides:
        key = re.split(r"[=.@/]", override, maxsplit=1)[0]
        if key and key[0] not in "+~" and key not in known:
            mend = did_you_mean(key, known, always=True)
            if key in TOP_LEVEL:
                mend = f" It is the recipe's: write 'recipe.{override}'."
            raise ConfigError(f"command line ({override}): no key '{key}'.{mend}")


def _require_one_recipe(overrides: Sequence[str]) -> None:
    """Refuse to delete from several recipes: Hydra composes a sweep without those that vary."""
    gone = [override for override in overrides if override.startswith("~recipe.")]
    several = [word for word in overrides if word.startswith("recipe=") and "," in word]
    if gone and several:
        raise ConfigError(
            f"command line ({gone[0]}): nothing can be deleted from recipes that vary "
            f"({several[0]}): run a sweep for each recipe"
        )


def _require_inside(overrides: Sequence[str]) -> None:
    """Refuse recipe files outside the current folder; ``RecipeCallback`` takes any path."""
    for override in overrides:
        name = unquoted(override)
        if override.partition("=")[0].lstrip("+") == "recipe" and library.is_path(name):
            here = Path.cwd().resolve()
            if not Path(name).resolve().is_relative_to(here):
                text = "lies outside this folder: copy it here, or into ./recipes"
                raise RecipeError(Problem(f"command line ({override})", text))
