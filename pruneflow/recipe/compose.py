"""Compose a recipe with Hydra's rules: defaults, groups and overrides; then Hydra steps aside.

``ConfigLoaderImpl`` is used instead of ``hydra.compose``, which keeps global state and would
trip over a program that is itself a Hydra application.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneflow.errors import ConfigError, Problem, RecipeError
from pruneflow.recipe import library, schema
from pruneflow.recipe.complaints import reported, typed
from pruneflow.recipe.declaration import Recipe
from pruneflow.recipe.places import followed, locator
from pruneflow.recipe.references import mentions, resolve

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.config_search_path import ConfigSearchPath
    from omegaconf import DictConfig

_KNOB = re.compile(rf"^\+{{0,2}}({'|'.join(schema.KNOBS)})=")
_OWN_KEY = re.compile(r"^\+{0,2}recipe\.")
_SHORT_TARGETS = re.compile(r"^(\+\+recipe\.(?:modifiers\.[\w-]+\.)?targets)=(?!\{)(.+)")


def load_recipe(
    recipe: str | Path, sparsity: float | None = None, overrides: Sequence[str] = ()
) -> Recipe:
    """Read, compose and check a recipe, outside any Hydra program or inside one.

    Args:
        recipe: A name (``lenet_imp``) or a file.
        sparsity: Replaces the recipe's own default.
        overrides: As on the command line, seen from the recipe's root:
            ``["modifiers.prune.schedule=linear", "~modifiers.freeze"]``.

    Raises:
        RecipeError: With file, line and mend of every mistake.
    """
    name = str(recipe)
    if isinstance(recipe, Path) or (not library.find(name) and Path(name).is_file()):
        name = str(Path(recipe).absolute())
    library.load(name)
    arguments = [_from_root(override) for override in overrides]
    if sparsity is not None:
        arguments.append(f"sparsity={sparsity}")
    quoted = name.replace("'", r"\'")
    arguments = spelled_out([f"recipe='{quoted}'", *arguments])
    loader = config_loader()
    from hydra.types import RunMode

    with reported():
        config = loader.load_configuration("recipe", arguments, RunMode.RUN, from_shell=False)
    return from_config(config, loader, "recipe", arguments)


def config_loader(
    config_path: str | None = None, config_dir: str | None = None
) -> ConfigLoaderImpl:
    """A loader that sees ``conf/`` and the recipes; for the arguments see ``search_path``."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    return ConfigLoaderImpl(search_path(config_path, config_dir))


def search_path(config_path: str | None = None, config_dir: str | None = None) -> ConfigSearchPath:
    """Where Hydra looks for configuration.

    Args:
        config_path: In place of PruneFlow's own ``conf/``.
        config_dir: Before that.

    Raises:
        ConfigError: ``config_dir`` is no folder.
    """
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery

    from pruneflow.recipe.hydra_source import register

    register()
    main = str(Path(config_path).absolute()) if config_path else str(library.data_root() / "conf")
    path = create_config_search_path(main)
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise ConfigError(f"--config-dir: no folder '{config_dir}'")
        own = f"file://{Path(config_dir).absolute()}"
        path.prepend("command-line", own, anchor=SearchPathQuery(provider="main"))
    return path


def spelled_out(overrides: Sequence[str]) -> list[str]:
    """Overrides as Hydra is to see them.

    ``sparsity=`` and ``control=`` are short for the recipe's own keys. A recipe's keys may be set
    whether or not its file names them: the recipe's schema is the judge of what exists, not
    Hydra's. Targets given as a list are names, which merge with a mapping.
    """
    full = [_KNOB.sub(r"++recipe.\1=", override, count=1) for override in overrides]
    free = [_OWN_KEY.sub("++recipe.", override, count=1) for override in full]
    return [_SHORT_TARGETS.sub(r"\1={names:\2}", override) for override in free]


def from_config(
    config: DictConfig, loader: ConfigLoaderImpl, config_name: str, overrides: Sequence[str]
) -> Recipe:
    """The recipe inside a composed configuration.

    Args:
        config: Composed by ``loader`` from ``config_name`` and ``overrides``.
        loader: Knows which files took part, and where each went.
        config_name: The primary configuration.
        overrides: What the person asked for.

    Raises:
        RecipeError: With every mistake at its place.
    """
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    plain = [o for o in overrides if not o.startswith("hydra.")]
    defaults = loader.compute_defaults_list(config_name, plain, RunMode.RUN).defaults
    locate = locator(defaults, overrides)
    tree: Any = OmegaConf.to_container(config.recipe, resolve=False)
    name = str(OmegaConf.select(config, "hydra.runtime.choices.recipe"))
    if not isinstance(tree, dict):
        raise RecipeError(Problem("", f"recipe '{name}' is not a mapping"))
    if name.startswith(f"{library.PARTS}/"):
        text = f"'{name}' is a fragment; a recipe takes it in with '- _parts@modifiers.NAME: ...'"
        raise RecipeError(Problem("", text))
    for knob in schema.KNOBS:
        asked = next((o for o in overrides if o.startswith(f"++recipe.{knob}=")), None)
        if asked is not None and not mentions(tree, knob):
            text = (
                f"recipe '{name}' does not use a {knob} (nothing in it refers to "
                f"${{{knob}}}); leave '{knob}=' out"
            )
            raise RecipeError(Problem(typed(asked), text))
    try:
        resolved = resolve(tree, locate)
    except RecipeError as error:  # of a key that is misspelled, perhaps
        raise RecipeError([*schema.unknown_keys(tree, locate), *error.problems]) from None
    return schema.build(resolved, name, followed(tree, locate), locate)


def _from_root(override: str) -> str:
    """An override seen from the recipe's root, as Hydra sees it from the configuration's."""
    sign, rest = re.match(r"([+~]*)(.*)", override, re.DOTALL).groups()  # type: ignore[union-attr]
    if rest.startswith("_parts@"):
        return f"{sign}recipe/_parts@recipe.{rest.removeprefix('_parts@')}"
    return override if _KNOB.match(rest) else f"{sign}recipe.{rest}"
