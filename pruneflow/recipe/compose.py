"""Compose a recipe with Hydra's rules: defaults, groups and overrides; then Hydra steps aside.

``ConfigLoaderImpl`` is used instead of ``hydra.compose``, which keeps global state and would
trip over a program that is itself a Hydra application.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruneflow.errors import ConfigError, Problem, PruneFlowError, RecipeError
from pruneflow.recipe import library, schema
from pruneflow.recipe.declaration import Locate, Recipe
from pruneflow.recipe.references import mentions, reference_keys, resolve
from pruneflow.recipe.source import REFERENCE, KeyPath, Source

if TYPE_CHECKING:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.config_search_path import ConfigSearchPath
    from omegaconf import DictConfig

_SPARSITY = re.compile(r"^\+{0,2}sparsity=")
_OWN_KEY = re.compile(r"^\+{0,2}recipe\.")
_OVERRIDE = re.compile(r"[+~]*([\w./@-]+)=?")


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

    ``sparsity=`` is short for the recipe's own key. A recipe's keys may be set whether or not
    its file names them: the recipe's schema is the judge of what exists, not Hydra's.
    """
    full = [_SPARSITY.sub("++recipe.sparsity=", override, count=1) for override in overrides]
    return [_OWN_KEY.sub("++recipe.", override, count=1) for override in full]


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
    locate = _locator(defaults, overrides)
    tree: Any = OmegaConf.to_container(config.recipe, resolve=False)
    name = str(OmegaConf.select(config, "hydra.runtime.choices.recipe"))
    if not isinstance(tree, dict):
        raise RecipeError(Problem("", f"recipe '{name}' is not a mapping"))
    asked = next((o for o in overrides if o.startswith("++recipe.sparsity=")), None)
    if asked is not None and not mentions(tree, "sparsity"):
        text = (
            f"recipe '{name}' does not use a sparsity (nothing in it refers to "
            "${sparsity}); leave 'sparsity=' out"
        )
        raise RecipeError(Problem(_typed(asked), text))
    return schema.build(resolve(tree, locate), name, _followed(tree, locate))


class reported:  # noqa: N801  (reads as a word in a with statement)
    """Context: Hydra's and OmegaConf's complaints become a ``RecipeError`` without traceback."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        if isinstance(error, HydraException | OmegaConfBaseException | ValueError):
            cause = error.__cause__
            if isinstance(cause, PruneFlowError):
                raise cause from None
            raise RecipeError(Problem("", _plainly(error))) from None


def _plainly(error: BaseException) -> str:
    """Hydra's message in one or two lines."""
    from hydra.errors import OverrideParseException

    if isinstance(error, OverrideParseException):
        mend = "write KEY=VALUE, with quotes around a VALUE that holds special characters"
        return f"{_typed(error.override)}: is not understood; {mend}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__
    if cause is not None and str(cause) not in str(error):
        lines += [line.strip() for line in str(cause).splitlines()[:1]]
    text = " ".join(line for line in lines if not line.startswith(("full_key", "object_type")))
    absent = re.search(r"Could not (?:find|load) '([^']+)'", text)
    if absent and absent[1].startswith("recipe/"):
        return library.unknown(absent[1].removeprefix("recipe/"))
    if gone := re.search(r"Could not delete from config. '([^']+)' does not exist", text):
        return f"command line (~{gone[1]}): there is no '{gone[1]}' to delete"
    missing = re.search(r"Key '([^']+)' is not in struct", text)
    known = re.search(r"Could not override '([^']+)'", text)
    if missing and known:
        return (
            f"command line ({known[1]}=…): there is no key '{known[1]}' to override; "
            f"write '+{known[1]}=…' if it is meant to be new"
        )
    return text


def _typed(override: str) -> str:
    """The place of an override, as the person typed it."""
    return f"command line ({override.removeprefix('++').replace('recipe.sparsity=', 'sparsity=')})"


def _from_root(override: str) -> str:
    """An override seen from the recipe's root, as Hydra sees it from the configuration's."""
    sign, rest = re.match(r"([+~]*)(.*)", override, re.DOTALL).groups()  # type: ignore[union-attr]
    if rest.startswith("_parts@"):
        return f"{sign}recipe/_parts@recipe.{rest.removeprefix('_parts@')}"
    return override if rest.startswith("sparsity=") else f"{sign}recipe.{rest}"


def _locator(defaults: Sequence[Any], overrides: Sequence[str]) -> Locate:
    """Finds the place of a key: the command line, else the last file that sets it."""
    from pruneflow.recipe.hydra_source import recipe_name

    sources: list[tuple[KeyPath, Source]] = []
    for default in defaults:
        name = recipe_name(default.config_path or "")
        if name is not None:
            package = tuple(str(default.package or "").split("."))[1:]
            sources.insert(0, (package, library.load(name)))
    typed = {
        match[1]: override
        for override in overrides
        if (match := _OVERRIDE.match(override)) and match[1].startswith("recipe.")
    }

    def locate(path: KeyPath) -> str:
        for length in range(len(path), -1, -1):
            part = path[:length]
            dotted = ".".join(("recipe", *part))
            if dotted in typed:
                return _typed(typed[dotted])
            for package, source in sources:
                inner = part[len(package) :]
                if part[: len(package)] == package and (not inner or inner in source.lines):
                    return source.place(inner)
            below = next((typed[key] for key in typed if key.startswith(f"{dotted}.")), None)
            if part and below is not None:
                return _typed(below)
        return "recipe"

    return locate


def _followed(tree: Any, locate: Locate) -> Locate:
    """Finds where a value was written: behind a whole reference, at what it refers to."""

    def follow(path: KeyPath) -> str:
        value = tree
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        whole = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        return follow(tuple(reference_keys(whole[1]))) if whole else locate(path)

    return follow
