"""Serve recipes to Hydra as the config group ``recipe``.

Registered in this process only: an installed plugin would change every other Hydra program in
the environment.
"""

from __future__ import annotations

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from pruneflow.errors import RecipeError
from pruneflow.recipe import library
from pruneflow.recipe.references import ROOT, anchored

GROUP = ROOT


def register() -> None:
    """Make ``recipe=NAME`` understood; asking twice does no harm."""
    Plugins.instance().register(RecipeSource)
    Plugins.instance().register(RecipeSearchPath)


def recipe_name(config_path: str) -> str | None:
    """The recipe or fragment behind a config path of Hydra's, e.g. ``recipe/_parts/finetune``."""
    prefix = f"{GROUP}/"
    return config_path.removeprefix(prefix) if config_path.startswith(prefix) else None


class RecipeSource(ConfigSource):
    """Finds recipes by name or path and hands Hydra their checked, plain trees."""

    @staticmethod
    def scheme() -> str:
        """See base class."""
        return "recipes"

    def load_config(self, config_path: str) -> ConfigResult:
        """See base class."""
        name = recipe_name(config_path)
        if name is None:
            raise ConfigLoadError(f"not a recipe: {config_path}")
        try:
            source = library.load(name)
        except RecipeError as error:
            raise ConfigCompositionException(str(error)) from error
        tree = _mergeable(anchored(source.tree))
        if tree.get("defaults"):
            inherited = library.inherited_fragments(source)
            entries = [_absolute(entry, inherited) for entry in tree["defaults"]]
            # Hydra wants entries that replace a parent's at the end.
            tree["defaults"] = sorted(entries, key=_replaces)
        package = GROUP if library.is_path(name) else None
        return ConfigResult(
            config=OmegaConf.create(tree),
            path=f"recipes://{source.file}",
            provider=self.provider,
            header={"package": package},
        )

    def available(self) -> bool:
        """See base class."""
        return True

    def is_group(self, config_path: str) -> bool:
        """See base class."""
        name = recipe_name(config_path)
        return config_path in ("", GROUP) or name in (library.PARTS, library.BUILTIN)

    def is_config(self, config_path: str) -> bool:
        """See base class."""
        name = recipe_name(config_path)
        return name is not None and library.find(name) is not None

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """See base class."""
        if config_path == "":
            return [] if results_filter == ObjectType.CONFIG else [GROUP]
        if results_filter == ObjectType.GROUP:
            return [library.PARTS] if config_path == GROUP else []
        if config_path == GROUP:
            return library.names()
        return library.names(parts=True) if recipe_name(config_path) == library.PARTS else []


def _absolute(entry: Any, inherited: set[str]) -> Any:
    """An entry of the defaults list that means the same from a subfolder of recipes too."""
    if isinstance(entry, dict):
        ((key, name),) = entry.items()
        if key in inherited:
            return {f"override /{GROUP}/{key}": name}
        return {f"/{GROUP}/{key}" if "@" in key else key: name}
    return entry if entry == "_self_" else f"/{GROUP}/{entry}@_here_"


def _replaces(entry: Any) -> bool:
    return isinstance(entry, dict) and next(iter(entry)).startswith("override ")


def _mergeable(tree: dict[str, Any]) -> dict[str, Any]:
    """The same recipe with targets as mappings, so that a child's merge with its parent's."""
    tree = {key: {"names": value} if key == "targets" and isinstance(value, str | list) else value
            for key, value in tree.items()}  # fmt: skip
    if isinstance(modifiers := tree.get("modifiers"), dict):
        tree["modifiers"] = {
            name: _mergeable(values) if isinstance(values, dict) else values
            for name, values in modifiers.items()
        }
    return tree


class RecipeSearchPath(SearchPathPlugin):
    """Adds ``RecipeSource`` to the search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """See base class."""
        search_path.append(provider="pruneflow", path="recipes://./recipes,built-in")
