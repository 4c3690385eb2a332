"""Composition: overrides, fragments, children over parents, alone and inside other programs."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pruneflow.errors import RecipeError
from pruneflow.recipe import library
from pruneflow.recipe.compose import load_recipe

BUILTIN = library.data_root() / "recipes"
PLAIN = """\
length: 10ep
sparsity: 0.5
modifiers:
  prune: {type: prune, sparsity: "${sparsity}", start: 2ep}
  freeze: {type: freeze_mask, start: prune.end}
"""


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tree(name: str | Path = "./my.yaml", *overrides: str, **more: Any) -> dict[str, Any]:
    return load_recipe(name, overrides=overrides, **more).to_dict()


def refusal(*overrides: str, name: str = "./my.yaml", sparsity: float | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(name, sparsity, overrides)
    return str(caught.value)


@pytest.fixture(autouse=True)
def my_recipe() -> None:
    write("my.yaml", PLAIN)


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("modifiers.prune.start=3ep", ("prune", "start"), "3ep"),
        ("modifiers.prune.end=6ep", ("prune", "end"), "6ep"),
        ("+modifiers.prune.end=6ep", ("prune", "end"), "6ep"),
        ("++modifiers.prune.end=6ep", ("prune", "end"), "6ep"),
        ("modifiers.prune.sparsity=0.7", ("prune", "sparsity"), 0.7),
        ("modifiers.prune.sparsity=75e-2", ("prune", "sparsity"), 0.75),
        ("sparsity=0.7", ("prune", "sparsity"), 0.7),
        ("+sparsity=0.7", ("prune", "sparsity"), 0.7),
        ("++sparsity=0.7", ("prune", "sparsity"), 0.7),
        ("modifiers.freeze.start=20%", ("freeze", "start"), "20%"),
        ("modifiers.prune.targets=[fc1,fc2]", ("prune", "targets"), {"names": ["fc1", "fc2"]}),
        ("+modifiers.more={type: freeze_mask, start: 9ep}", ("more", "start"), "9ep"),
        ("modifiers.prune.start=${modifiers.freeze.at}", ("prune", "start"), None),
    ],
)
def test_one_field(override: str, path: tuple[str, str], value: Any) -> None:
    if value is None:
        assert "${modifiers.freeze.at} refers to nothing" in refusal(override)
        return
    before, after = tree(), tree("./my.yaml", override)
    assert after["modifiers"][path[0]][path[1]] == value
    expected = before["modifiers"]
    expected.setdefault(path[0], {"type": "freeze_mask"})[path[1]] = value
    assert after["modifiers"] == expected


def test_top_level_and_deletion() -> None:
    assert tree("./my.yaml", "length=4ep")["length"] == "4ep"
    assert "length" not in tree("./my.yaml", "~length")
    assert list(tree("./my.yaml", "~modifiers.freeze")["modifiers"]) == ["prune"]
    assert tree("./my.yaml", "targets={types: [Linear]}")["targets"] == {"types": ["Linear"]}
    assert tree("./my.yaml", "targets=[fc1]")["targets"] == {"names": ["fc1"]}


def test_a_list_of_names_replaces_targets_written_as_a_mapping() -> None:
    write("my.yaml", PLAIN + "targets: {types: [Linear]}\n")
    assert "fc1" in tree("./my.yaml", "targets=[fc1]")["targets"]["names"]


def test_fragments_are_added_swapped_and_deleted() -> None:
    swap = "_parts@modifiers.finetune="
    kept = load_recipe("builtin/gradual")
    assert kept.modifiers["finetune"].schedule == "cosine"  # type: ignore[attr-defined]
    swapped = load_recipe("builtin/gradual", overrides=[f"{swap}finetune"])
    assert swapped.modifiers["finetune"].schedule == "constant"  # type: ignore[attr-defined]
    assert swapped.modifiers["prune"] == kept.modifiers["prune"]
    without = load_recipe("builtin/gradual", overrides=["~_parts@modifiers.finetune"])
    assert sorted(without.modifiers) == ["freeze", "prune"]
    added = load_recipe("./my.yaml", overrides=[f"+{swap}decay", "modifiers.finetune.factor=0.5"])
    assert added.modifiers["finetune"].factor == 0.5  # type: ignore[attr-defined]
    assert refusal(f"{swap}decy", name="builtin/gradual").startswith("no fragment 'decy'. Did you")
    with pytest.raises(RecipeError):
        load_recipe("builtin/gradual", overrides=[f"{swap}null"])


def test_a_child_merges_deeply_over_its_parent() -> None:
    write(
        "recipes/mine.yaml",
        "defaults: [gradual, _self_]\nlength: 30ep\nsparsity: 0.4\n"
        "modifiers:\n  prune: {schedule: linear}\n  finetune: {factor: 0.5}\n",
    )
    expected = tree("gradual")
    expected["length"] = "30ep"
    expected["modifiers"]["prune"] |= {"schedule": "linear", "sparsity": 0.4}
    expected["modifiers"]["finetune"]["factor"] = 0.5
    assert tree("mine") == expected
    assert tree("mine", sparsity=0.3)["modifiers"]["prune"]["sparsity"] == 0.3
    write("recipes/mine.yaml", "defaults: [_self_, gradual]\nlength: 30ep\n")
    assert tree("mine")["length"] == "20ep"
    write("recipes/grandchild.yaml", "defaults: [child]\nmodifiers: {freeze: {start: 19ep}}\n")
    write("recipes/child.yaml", "defaults: [gradual, _self_]\nlength: 30ep\n")
    grandchild = load_recipe("grandchild")
    assert grandchild.to_dict()["length"] == "30ep"
    assert grandchild.locate(("length",)) == "recipes/child.yaml:2"
    assert grandchild.locate(("modifiers", "freeze", "start")) == "recipes/grandchild.yaml:2"
    assert grandchild.locate(("modifiers", "prune", "end")).endswith("recipes/gradual.yaml:19")


def test_sparsity_wins_over_the_default_and_must_be_used() -> None:
    assert tree()["modifiers"]["prune"]["sparsity"] == 0.5
    assert tree(sparsity=0.25)["modifiers"]["prune"]["sparsity"] == 0.25
    assert tree("./my.yaml", sparsity=1e-5)["modifiers"]["prune"]["sparsity"] == 1e-5
    write("my.yaml", PLAIN.replace("sparsity: 0.5\n", ""))
    assert tree(sparsity=0.25)["modifiers"]["prune"]["sparsity"] == 0.25
    write("my.yaml", PLAIN.replace('"${sparsity}"', "0.5"))
    for message in (refusal(sparsity=0.5), refusal("sparsity=0.5")):
        assert message.startswith("command line (sparsity=0.5): recipe './my.yaml' does not use")
        assert message.endswith("leave 'sparsity=' out")


@pytest.mark.parametrize(
    ("overrides", "where", "phrase"),
    [
        (["sparsity=90"], "(sparsity=90)", "90 % is written 0.9"),
        (["modifiers.prune.schedul=linear"], "prune.schedul=linear)", "mean 'schedule'?"),
        (["modifiers.prun.schedule=linear"], "prun.schedule=linear)", "Or did you mean 'prune'?"),
        (["modifiers.prune.start=2"], "prune.start=2)", "2 has no unit: write 2ep"),
        (["lenth=3ep"], "lenth=3ep)", "Did you mean 'length'?"),
        (["modifiers=3"], "modifiers=3)", "needs named entries"),
        (["~modifiers"], "~recipe.modifiers)", "needs named entries"),
        (["~modifiers.frezee"], "~recipe.modifiers.frezee)", "to delete"),
        (["modifiers.prune.start=[2ep"], "prune.start=[2ep)", "write KEY=VALUE"),
        (["modifiers.prune"], "modifiers.prune)", "write KEY=VALUE"),
        (["modifiers.prune.sparsity=${oc.env:HOME}"], "oc.env:HOME})", "only plain references"),
        (["modifiers.prune._target_=os.system"], "_target_=os.system)", "has no field '_target_'"),
        (["hydra.run.dir=/tmp"], "hydra.run.dir=/tmp)", "unknown key 'hydra'"),
        (["recipe=lottery"], "recipe=lottery)", "unknown key 'recipe'"),
    ],
)
def test_a_bad_override_is_quoted(overrides: list[str], where: str, phrase: str) -> None:
    message = refusal(*overrides)
    assert message.startswith("command line (")
    assert message.partition(": ")[0].endswith(where)
    assert phrase in message


def test_name_and_file_mean_the_same() -> None:
    by_file = {tree(BUILTIN / "gradual.yaml")["length"], tree("gradual")["length"]}
    assert by_file == {"20ep"}
    named = load_recipe("gradual")
    for other in ("builtin/gradual", "gradual.yaml", str(BUILTIN / "gradual.yaml")):
        assert load_recipe(other).digest == named.digest
        changed = load_recipe(other, 0.5, ["_parts@modifiers.finetune=finetune"])
        assert (
            changed.digest
            == load_recipe("gradual", 0.5, ["_parts@modifiers.finetune=finetune"]).digest
        )
    relative = os.path.relpath(BUILTIN / "gradual.yaml")
    assert load_recipe(relative).digest == named.digest


def test_an_error_survives_pickling() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("gradul")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_nothing_is_left_behind() -> None:
    before = (os.getcwd(), sorted(os.listdir()), dict(os.environ))
    load_recipe("gradual", 0.5, ["modifiers.prune.schedule=linear"])
    refusal("sparsity=90")
    assert (os.getcwd(), sorted(os.listdir()), dict(os.environ)) == before


def test_inside_hydras_compose_api() -> None:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    write("conf/app.yaml", "mine: 1\nrecipe: untouched\nsparsity: theirs\n")
    alone = load_recipe("gradual", 0.5).digest
    with initialize_config_dir(str(Path("conf").absolute()), version_base=None):
        theirs = GlobalHydra.instance().hydra
        assert load_recipe("gradual", 0.5).digest == alone
        assert "mean 'gradual'" in refusal(name="gradul")
        assert GlobalHydra.instance().hydra is theirs
        assert compose("app", ["mine=2"]) == {
            "mine": 2,
            "recipe": "untouched",
            "sparsity": "theirs",
        }
    assert not GlobalHydra.instance().is_initialized()
    assert load_recipe("gradual", 0.5).digest == alone
    assert not GlobalHydra.instance().is_initialized()


APP = """\
import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from pruneflow.recipe.compose import load_recipe

@hydra.main(config_path="conf", config_name="app", version_base=None)
def main(config):
    before = GlobalHydra.instance().hydra, HydraConfig.get().job.name, dict(config)
    print("digest", load_recipe("gradual", 0.5, ["modifiers.prune.schedule=linear"]).digest)
    assert (GlobalHydra.instance().hydra, HydraConfig.get().job.name, dict(config)) == before
    assert config == {"recipe": config.recipe, "sparsity": "theirs"}

main()
"""


def test_inside_somebody_elses_hydra_program() -> None:
    write("conf/app.yaml", "recipe: 1\nsparsity: theirs\n")
    write("app.py", APP)
    command = [sys.executable, "app.py", "-m", "recipe=1,2", "hydra.sweep.dir=sweep"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    expected = load_recipe("gradual", 0.5, ["modifiers.prune.schedule=linear"]).digest
    assert result.stdout.count(f"digest {expected}") == 2
