"""What Hydra is told about recipes: their names, which of them are groups, and their trees."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.object_type import ObjectType
from hydra.errors import ConfigCompositionException
from hydra.plugins.config_source import ConfigLoadError

from pruneflow.recipe import library
from pruneflow.recipe.hydra_source import RecipeSource

SOURCE = RecipeSource("pruneflow", "recipes://./recipes,built-in")
MINE = "modifiers: {prune: {type: prune, sparsity: 0.5}}\n"


@pytest.fixture(autouse=True)
def recipes() -> None:
    for name in ("mine", "_parts/piece"):
        path = Path(f"recipes/{name}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MINE)


def test_it_lists_recipes_and_fragments_each_in_its_place() -> None:
    assert SOURCE.list("", None) == SOURCE.list("", ObjectType.GROUP) == ["recipe"]
    assert SOURCE.list("", ObjectType.CONFIG) == []
    assert SOURCE.list("recipe", ObjectType.GROUP) == ["_parts"]
    assert {"mine", "gradual"} < set(SOURCE.list("recipe", ObjectType.CONFIG))
    assert SOURCE.list("recipe", None) == library.names()
    assert SOURCE.list("recipe/_parts", ObjectType.GROUP) == []
    assert {"piece", "finetune"} <= set(SOURCE.list("recipe/_parts", ObjectType.CONFIG))
    assert SOURCE.list("recipe/mine", None) == SOURCE.list("model", ObjectType.CONFIG) == []


@pytest.mark.parametrize(
    ("path", "group", "config"),
    [
        ("", True, False),
        ("recipe", True, False),
        ("recipe/_parts", True, False),
        ("recipe/builtin", True, False),
        ("recipe/mine", False, True),
        ("recipe/builtin/gradual", False, True),
        ("recipe/_parts/piece", False, True),
        ("recipe/nothing", False, False),
        ("model", False, False),
        ("mine", False, False),
    ],
)
def test_groups_and_recipes_are_told_apart(path: str, group: bool, config: bool) -> None:
    assert SOURCE.is_group(path) == group
    assert SOURCE.is_config(path) == config
    assert SOURCE.available()


def test_a_named_recipe_says_itself_where_it_goes_and_a_file_goes_to_the_root() -> None:
    named, file = (
        SOURCE.load_config("recipe/mine"),
        SOURCE.load_config("recipe/./recipes/mine.yaml"),
    )
    assert (named.header["package"], file.header["package"]) == (None, "recipe")
    assert named.config == file.config
    assert named.path == "recipes://recipes/mine.yaml"
    assert named.provider == "pruneflow"


def test_what_is_no_recipe_or_a_broken_one_is_not_served() -> None:
    with pytest.raises(ConfigLoadError, match="not a recipe: model/lenet5"):
        SOURCE.load_config("model/lenet5")
    Path("recipes/mine.yaml").write_text("modifiers: [")
    with pytest.raises(ConfigCompositionException, match=r"mine\.yaml"):
        SOURCE.load_config("recipe/mine")
