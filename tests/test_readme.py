"""The README is true: its code runs, its tables are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pruneflow.modifiers import MODIFIERS
from pruneflow.recipe import library
from pruneflow.runfolder import read_json


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    """Its text."""
    return (repository / "README.md").read_text()


def blocks(readme: str, language: str) -> list[str]:
    """Its blocks of code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)


def test_the_table_of_words_is_made_from_the_code(readme: str) -> None:
    rows = []
    for name in sorted(n for n in MODIFIERS if MODIFIERS[n].__module__.startswith("pruneflow.")):
        summary = (MODIFIERS[name].__doc__ or "").partition("\n")[0].replace("`", "")
        rows.append(f"| `{name}` | {summary} | {MODIFIERS[name].paper} |".replace("|  |", "| |"))
    table = readme.partition("<!-- words:")[2].partition("<!-- end of words -->")[0]
    assert table.strip().splitlines()[3:] == rows


def test_every_built_in_recipe_is_named(readme: str) -> None:
    cells = re.findall(r"^\| (`[^|]+`) \|", readme.partition("| recipe |")[2], re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    built_in = [path.stem for path in (library.data_root() / "recipes").glob("*.yaml")]
    assert sorted(set(built_in) & set(named)) == sorted(built_in)


def test_the_recipe_that_is_explained_is_the_built_in_one(readme: str) -> None:
    (shown,) = blocks(readme, "yaml")
    built_in = (library.data_root() / "recipes" / "gradual.yaml").read_text()
    assert yaml.safe_load(shown) == yaml.safe_load(built_in)


def test_the_loop_without_lightning_runs(readme: str) -> None:
    (loop,) = [block for block in blocks(readme, "python") if "pruneflow.prune(" in block]
    done = subprocess.run([sys.executable, "-c", loop], capture_output=True, text=True, check=False)
    assert done.stdout == "90.0% sparse\n", done.stderr


def test_a_word_of_ones_own_is_planned_and_fired(readme: str) -> None:
    (word,) = [block for block in blocks(readme, "python") if "class Clip" in block]
    Path("my_words.py").write_text(word)
    Path("mine.yaml").write_text(
        "length: 1ep\nmodifiers:\n  clip: {type: clip, limit: 0.01, every: 5st}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pruneflow", "train", "recipe=./mine.yaml", "imports=[my_words]"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = Path("outputs/mine").iterdir()
    assert (folder / "journal.jsonl").read_text().count('"change"') == 4
    from safetensors.torch import load_file

    assert float(load_file(folder / "pruned.safetensors")["fc1.weight"].abs().max()) <= 0.0101


@pytest.mark.parametrize("name", ["run", "sweep"])
def test_the_pictures_exist(repository: Path, name: str) -> None:
    assert (repository / "examples" / "pictures" / f"{name}.png").stat().st_size > 10_000


def test_the_figures_are_those_that_were_measured(readme: str) -> None:
    from benchmarks import c99, deploy, sharing

    made = {
        "figures": deploy.table(*deploy.known()),
        "c99": c99.table(read_json(c99.RESULT)),
        "sharing": sharing.table(read_json(sharing.RESULTS)),
    }
    for name, table in made.items():
        shown = readme.partition(f"<!-- {name}:")[2].partition(f"<!-- end of {name} -->")[0]
        assert shown.partition("-->")[2].strip() == table


def test_what_is_said_of_trust_was_measured(readme: str) -> None:
    from benchmarks.measured import RESULTS

    said = " ".join(readme.partition("## Trust")[2].partition("\n## ")[0].split())
    found = {name: read_json(RESULTS / f"{name}.json")
             for name in ("faults", "kills", "mutation", "branches")}  # fmt: skip
    faults, kills, mutation = found["faults"], found["kills"], found["mutation"]
    core = found["branches"]["core"]
    assert faults["lost"] == 0
    assert kills["kills"] == kills["exact"]
    for sentence in (
        f"Of {faults['faults']} faults, {faults['exact']} ended in the bits",
        f"{faults['refused']} were refused honestly, and none was lost",
        f"All of {kills['kills']} kills",
        f"Of {mutation['tried']} mutants of the core, the tests noticed {mutation['killed']}",
        f"{core['taken'] / core['branches']:.1%} of the branches",
    ):
        assert sentence in said, sentence
