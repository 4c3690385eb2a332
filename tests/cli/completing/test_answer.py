"""How shells are answered: in their own way, at once, and never with a complaint."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pruneflow.cli import main

HEAVY = [
    "torch", "pytorch_lightning", "lightning", "numpy", "hydra", "omegaconf", "rich", "matplotlib",
]  # fmt: skip


def asked(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> list[str]:
    """The lines of an answer, of which nothing goes elsewhere."""
    assert main(["_complete", *arguments]) == 0
    out, err = capfdbinary.readouterr()
    assert err == b""
    return out.decode().splitlines()


def test_bash_is_told_the_part_that_it_replaces(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    line = "pruneflow train recipe=lo"
    assert asked(capfdbinary, "bash", line, "lo") == ["lottery "]
    line = "pruneflow train recipe=gradual recipe.mod"
    assert asked(capfdbinary, "bash", line, "recipe.mod") == ["recipe.modifiers."]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_others_are_told_words_and_meanings(
    shell: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (answer,) = asked(capfdbinary, shell, "train", "recipe=lo")
    word, meaning = answer.split("\t")
    assert word == "recipe=lottery"
    assert meaning.startswith("The lottery ticket")
    assert asked(capfdbinary, shell, "recipes", "show", "no such") == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bash"],
        ["bash", "", ""],
        ["bash", "pruneflow"],
        ["fish"],
        ["fish", "train", "--config-path", "nowhere", "mo"],
        ["fish", "train", "--config-dir", "broken", ""],
        ["fish", "train", "recipe=gradual", "recipe.modifiers=1", "recipe.modifiers."],
        ["fish", "report", "nowhere/"],
        ["zsh", "nonsense", "", ""],
    ],
)
def test_it_never_complains(
    arguments: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    Path("broken").mkdir()
    Path("broken/train.yaml").write_text("a: [")
    assert asked(capfdbinary, *arguments) == []


def test_names_that_a_terminal_would_act_on_are_left_out(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    for name in ("fine.yaml", "two\nlines.yaml", "bell\x1b[2J.yaml", "tab\t.yaml"):
        Path(name).write_text("# A \x1b[2J comment.\n")
    assert asked(capfdbinary, "fish", "train", "recipe=./") == ["recipe=./fine.yaml"]
    Path("recipes").mkdir()
    Path("fine.yaml").rename("recipes/other.yaml")
    (answer,) = asked(capfdbinary, "fish", "train", "recipe=other")
    assert answer == "recipe=other\tA \\x1b[2J comment"


def test_it_imports_nothing_heavy() -> None:
    line = ["train", "recipe=gradual", "recipe.modifiers.prune.schedule="]
    code = f"""
import sys
from pruneflow.cli import main
main(["_complete", "fish", *{line!r}])
main(["_complete", "fish", "deploy", "deploy.goal="])
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *answers, loaded = done.stdout.splitlines()
    assert loaded == "[]"
    assert {"recipe.modifiers.prune.schedule=cubic", "deploy.goal=size"} <= set(answers)
    assert done.stderr == ""
