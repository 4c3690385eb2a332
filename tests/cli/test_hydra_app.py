"""What Hydra shows is what it would show by itself."""

from __future__ import annotations

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.object_type import ObjectType

from pruneflow.cli.hydra_app import groups_without_copies
from pruneflow.recipe.compose import config_loader

GROUPS = ("", "hydra", "hydra/launcher", "logger", "model", "recipe", "recipe/_parts", "nothing")


@pytest.mark.parametrize("wanted", [ObjectType.CONFIG, ObjectType.GROUP, None])
def test_groups_hold_what_hydra_finds_in_copies(wanted: ObjectType | None) -> None:
    loader = config_loader()
    own = {group: loader.get_group_options(group, wanted) for group in GROUPS}
    with groups_without_copies():
        assert {group: loader.get_group_options(group, wanted) for group in GROUPS} == own
    assert any(own.values())
    assert own["nothing"] == []


def test_overrides_that_change_the_search_path_count(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("more")
    (folder / "model").mkdir()
    (folder / "model" / "mine.yaml").write_text("name: mine\n")
    asked = ("model", ObjectType.CONFIG, "train", [f"hydra.searchpath=[file://{folder}]"])
    loader = config_loader()
    with groups_without_copies():
        assert "mine" in loader.get_group_options(*asked)
        assert "mine" not in loader.get_group_options("model")


def test_hydra_is_left_as_it_was() -> None:
    own = ConfigLoaderImpl.get_group_options
    with groups_without_copies():
        assert ConfigLoaderImpl.get_group_options is not own
    assert ConfigLoaderImpl.get_group_options is own
