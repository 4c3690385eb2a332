"""What Hydra shows is what it would show by itself."""

from __future__ import annotations

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.object_type import ObjectType

from pruneflow.cli import main
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


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["train", "--cfg", "job", "recipe=gradul"], "Did you mean 'gradual'?"),
        (["train", "--cfg", "job", "recipe=2:4"], "no recipe '2:4'"),
        (["train", "--cfg", "job", "hydra/sweeper=optuna"], "needs: pip install"),
        (["train", "--cfg", "job", "seed=[1"], "is not understood"),
        (["train", "--cfg", "job", "--package", "nobody"], "package 'nobody' not found"),
        (["train", "--cfg", "job", "--info"], "at a time"),
        (["plan", "--help", "-m"], "none of them with -m"),
        (["plan", "--help", "--config-dir", "nowhere"], "no folder 'nowhere'"),
        (["plan", "--info", "--config-name", "nobody"], "Cannot find primary config 'nobody'"),
    ],
)
def test_what_cannot_be_shown_is_told_as_every_mistake(
    words: list[str], mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert mend in said.err
    assert "HYDRA_FULL_ERROR" not in said.err


def test_hydras_part_is_shown_with_its_references_resolved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", "--cfg", "hydra", "--resolve"]) == 0
    assert "outputs/" in capsys.readouterr().out
