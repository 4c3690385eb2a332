"""``pruneflow init``: the folder it starts runs as its README says, and nothing is replaced."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from pruneflow.cli.init import SCHEMA, TEMPLATES
from pruneflow.recipe import library
from pruneflow.recipe.source import read_source
from tests.e2e.command import process, read, run

WRITTEN = {*TEMPLATES, SCHEMA}


def files(folder: Path) -> set[str]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_all_that_is_shipped_is_written() -> None:
    assert run("init", "mine") == 0
    assert files(Path("mine")) == WRITTEN
    shipped = files(library.data_root() / "templates")
    assert {name for name in shipped if "__pycache__" not in name} == {*TEMPLATES}


def test_it_runs_as_its_readme_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("init", "a folder") == 0
    told = capsys.readouterr().out
    monkeypatch.chdir("a folder")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_net", raising=False)
    commands = re.findall(r"^    pruneflow (.+)$", Path("README.md").read_text(), re.MULTILINE)
    assert [words.split()[0] for words in commands] == ["recipes", "plan", "train", "report"]
    assert told.endswith(
        "    cd 'a folder'\n" + "".join(f"    pruneflow {words}\n" for words in commands)
    )
    for words in commands:
        assert run(*shlex.split(words)) == 0, words
    del sys.modules["my_net"]
    results = [read(path) for path in sorted(Path().glob("outputs/sweeps/*/[01]/result.json"))]
    assert [round(result["sparsity"], 3) for result in results] == [0.5, 0.9]
    assert all(result["accuracy"]["final"] > 0.9 for result in results)


def test_an_editor_finds_the_schema_and_the_list_does_not_show_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("init") == 0
    recipe = Path("recipes/mine.yaml")
    (named,) = re.findall(r"^# yaml-language-server: \$schema=(.+)$", recipe.read_text(), re.M)
    schema = json.loads((recipe.parent / named).read_text())
    assert list(Draft7Validator(schema).iter_errors(read_source(recipe).tree)) == []
    capsys.readouterr()
    assert run("recipes", "list") == 0
    shown = capsys.readouterr().out
    assert "mine " in shown
    assert "A recipe of my own" in shown
    assert "yaml-language-server" not in shown


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_a_file_in_the_way_is_named_and_kept(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text("mine")
    assert run("init", ".") == 2
    assert capsys.readouterr().err == f"pruneflow: {name} is in the way; nothing written\n"
    assert files(Path()) == {name}
    assert Path(name).read_text() == "mine"


@pytest.mark.parametrize("name", ["conf", "recipes", "conf/model"])
def test_a_file_where_a_folder_should_be_is_in_the_way(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).touch()
    assert run("init") == 2
    assert f"pruneflow: {name} is in the way" in capsys.readouterr().err
    assert files(Path()) == {name}


def test_a_link_to_nowhere_and_a_folder_are_in_the_way_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("my_net.py").symlink_to("nowhere")
    assert run("init") == 2
    Path("file").touch()
    assert run("init", "file") == 2
    Path("folder/README.md").mkdir(parents=True)
    assert run("init", "folder") == 2
    told = capsys.readouterr().err
    assert [line.split()[1] for line in told.splitlines()] == [
        "my_net.py",
        "file",
        "folder/README.md",
    ]


def test_other_files_are_left_alone() -> None:
    Path("recipes").mkdir()
    Path("recipes/other.yaml").write_text("length: 3ep\n")
    assert run("init", ".") == 0
    assert files(Path()) == {*WRITTEN, "recipes/other.yaml"}


@pytest.mark.parametrize("arguments", [["a", "b"], ["--force"], ["a", "-x"]])
def test_more_than_a_folder_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init", *arguments) == 2
    assert "init takes one folder" in capsys.readouterr().err
    assert files(Path()) == set()


# -- pruneflow recipes schema --------------------------------------------------------------


def test_the_schema_is_printed_or_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes", "schema") == 0
    printed = json.loads(capsys.readouterr().out)
    Path("recipes").mkdir()
    assert run("recipes", "schema", "-o", "recipes") == 0
    assert run("recipes", "schema", "-o", SCHEMA) == 0, "it replaces its own"
    assert read(Path(SCHEMA)) == printed
    assert capsys.readouterr().out == ""


def test_the_schema_replaces_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("length: 3ep\n")
    assert run("recipes", "schema", "-o", "mine.yaml") == 2
    assert "mine.yaml is there and no schema" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "length: 3ep\n"
    assert run("recipes", "schema", "mine.yaml") == 2
    assert "takes nothing but -o FILE" in capsys.readouterr().err


OWN_WORD = '''\
from dataclasses import dataclass
from pruneflow.modifiers.base import TargetedModifier, modifier
from pruneflow.modifiers.fields import Number, option

class Anything:
    label = "anything"

@modifier("clip")
@dataclass(frozen=True, kw_only=True)
class Clip(TargetedModifier):
    """Clamp weights."""

    limit: float = option(Number(0, above=True), "the largest absolute value")
    note: object = option(Anything(), "whatever", None)
'''


def test_words_of_ones_own_are_in_the_schema() -> None:
    Path("my_words.py").write_text(OWN_WORD)
    done = process("recipes", "schema", "imports=[my_words]")
    assert done.returncode == 0, done.stderr
    right = Draft7Validator(json.loads(done.stdout)).is_valid
    clip = {"type": "clip", "limit": 0.5, "note": [1, {"a": 2}]}
    assert right({"modifiers": {"c": clip}})
    assert not right({"modifiers": {"c": {**clip, "limit": 0}}})
    assert not right({"modifiers": {"c": {"type": "clip"}}})
    assert not right({"modifiers": {"c": {**clip, "limits": 1}}})
