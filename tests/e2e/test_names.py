"""Names as people have them: spaces, umlauts, brackets, and strangers' tricks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import TINY, only, read, run, tiny


@pytest.mark.parametrize("name", ["rezept_ü", "./recipes/t ü.yaml", "./a,b.yaml", "it's"])
def test_a_recipe_may_be_called_anything(name: str) -> None:
    tiny(name if name.startswith("./") else f"recipes/{name}.yaml")
    assert run("plan", f"recipe={name}") == 0
    assert read(only("outputs/plans/*/*/plan.json"))["steps"] == 60


def test_recipes_with_odd_names_can_be_swept() -> None:
    tiny("recipes/rezept_ü.yaml")
    tiny("recipes/t ü.yaml")
    assert run("plan", "-m", "recipe=rezept_ü,./recipes/t ü.yaml,gradual") == 0
    assert len(list(Path().glob("outputs/plans/*/*/plan.json"))) == 3


@pytest.mark.parametrize("folder", ["läufe", "my run", "it's", "a [bold]b[/] :smile:"])
def test_a_run_folder_may_be_called_anything_and_is_told_as_such(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny()
    assert run("train", "recipe=one_shot", "recipe.length=4ep", "recipe.modifiers.prune.start=1ep",
               "recipe.modifiers.finetune.start=1ep", "recipe.modifiers.freeze.start=1ep",
               f"hydra.run.dir={folder}") == 0  # fmt: skip
    assert f"Run folder: {folder}\n" in capsys.readouterr().out
    assert Path(folder, "result.json").is_file()


def test_a_command_to_go_on_works_as_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    tiny()
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.Trainer.fit", interrupted)
        assert run("train", "recipe=tiny", "hydra.run.dir=my run") == 130
    assert "pruneflow train 'run=my run' ckpt_path=last\n" in capsys.readouterr().out
    assert run("train", "run=my run", "ckpt_path=last") == 0


def test_a_strangers_comment_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    tiny(text="# Halve [/] it [red]:smile:\u009b31m\n" + TINY)
    assert run("recipes", "list") == 0
    shown = capsys.readouterr().out
    assert "Halve [/] it [red]:smile:\\x9b31m" in shown
    assert run("recipes", "show", "tiny") == 0
    assert "\u009b" not in capsys.readouterr().out


def test_no_message_holds_a_control_character(capsys: pytest.CaptureFixture[str]) -> None:
    tiny("recipes/x.yaml", 'vars: {"\\e[31m": 1}\n')
    assert run("recipes", "check", "x") == 2
    assert run("plan", "recipe=\x1b[31m") == 2
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert "x.yaml:1: the control character '\\x1b'" in said.out


def test_a_limit_of_steps_ends_the_run_and_is_planned() -> None:
    tiny()
    assert run("train", "recipe=tiny", "+trainer.max_steps=70", "hydra.run.dir=mine") == 0
    assert read(Path("mine/plan.json"))["steps"] == read(Path("mine/result.json"))["steps"] == 70
    assert read(Path("mine/result.json"))["status"] == "complete"


def test_relative_names_mean_the_folder_the_command_was_given_in() -> None:
    tiny()
    Path("nets.py").write_text("from pruneflow.zoo.models import LeNet300100\n")
    first = ("recipe=tiny", "sparsity=0.5", "imports=[nets]", "hydra.job.chdir=true")
    assert run("train", *first, "hydra.run.dir=first") == 0
    checkpoint = sorted(Path("first/checkpoints").iterdir())[0]
    weights = "model.weights=first/pruned.safetensors"
    assert run("train", *first, weights, "hydra.run.dir=second") == 0
    assert run("train", *first, f"ckpt_path={checkpoint}", "hydra.run.dir=third") == 0
    assert {path.name for path in Path().iterdir() if path.is_dir()} >= {"first", "second", "third"}
    assert not Path("second/first").exists()
