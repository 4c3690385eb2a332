"""Recipes of strangers: no code, no environment, no way out, bounded time and memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pruneflow.cli import main
from pruneflow.errors import RecipeError
from pruneflow.recipe.compose import load_recipe
from tests.e2e.command import TINY
from tests.strangers.canary import CANARY, EVIL, is_alive

PRUNE = "modifiers: {p: {type: prune, sparsity: 0.5, start: 0ep, end: 1ep, every: 1ep}}\n"


def refused(text: str, words: str = ".") -> None:
    """Expect a recipe to be refused, at once."""
    Path("evil.py").write_text(EVIL)
    Path("sent.yaml").write_text(text)
    began = time.process_time()
    with pytest.raises(RecipeError, match=words) as told:
        load_recipe("./sent.yaml")
    assert time.process_time() - began < 5
    assert "the secret" not in str(told.value)
    assert is_alive()


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch canary']", "!!python/name:os.system ''",
        "!!python/module:evil ''", "!!python/object/new:evil.X []",
        "{_target_: evil.run}", "{_target_: os.system, _args_: [touch canary]}",
        "{_partial_: true}", "{_convert_: all}", "${hydra:runtime.cwd}", "${evil:1}",
        '"\\e]0;owned\\a"', '"\\e[2J"', '"a\\nb"',
    ],
)  # fmt: skip
def test_a_recipe_runs_no_code(value: str) -> None:
    refused(f"vars: {{x: {value}}}\n{PRUNE}")


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:HOME}", "${oc.env:SECRET_TOKEN,none}", "${oc.decode:x}", "${oc.create:{}}",
        "${oc.dict.keys:a}", "${oc.select:a}", "${now:%Y}", "${run_name:a}", "${env:HOME}",
        "${${a}}", "${.a}", "a${oc.env:HOME}b",
    ],
)  # fmt: skip
def test_a_recipe_reads_no_environment(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "the secret")
    refused(f"vars: {{x: '{value}'}}\n{PRUNE}", "reference|refers")


@pytest.mark.parametrize(
    "text",
    [
        "hydra: {run: {dir: /tmp/out}}\n", "hydra.run.dir: /tmp/out\n", "imports: [evil]\n",
        "logger: {name: mlflow, tracking_uri: 'http://x'}\n", "model: {module: 'evil:Net'}\n",
        "trainer: {default_root_dir: /tmp}\n", "ckpt_path: /tmp/x\n", "defaults: [../../../evil]\n",
        "defaults: [/etc/passwd]\n", "defaults: ['override /hydra/launcher: joblib']\n",
        "defaults: [{/model: lenet5}]\n", "defaults: [{_parts@_global_.hydra: decay}]\n",
        "# @package _global_\n", "searchpath: [file:///tmp]\n",
    ],
)  # fmt: skip
def test_a_recipe_sets_nothing_but_itself(text: str) -> None:
    refused(text + PRUNE)


@pytest.mark.parametrize(
    "file",
    ["/etc/passwd", "/dev/zero", "../x.ckpt", "a/../../x.ckpt", "~/x.ckpt", "http://x/x.ckpt"],
)
def test_a_recipe_names_no_file_outside(file: str) -> None:
    refused(f"modifiers: {{d: {{type: distill, teacher: '{file}', start: 0ep}}}}\n")


@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "..", "a\\b", "a.b", "-rf", " "])
def test_a_modifier_is_called_by_a_plain_word(name: str) -> None:
    refused(f"modifiers: {{'{name}': {{type: lr, start: 0ep, factor: 0.1}}}}\n")


BOMBS = {
    "aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "merges": "a: &a {b: 1}\nc: {<<: *a}\n",
    "depth": "vars: " + "[" * 5000 + "]" * 5000 + "\n",
    "length": "#" * 300_000 + "\n",
    "references": "vars: {a: x, "
    + ", ".join(f"v{n}: '${{vars.v{n - 1}}}${{vars.v{n - 1}}}'" for n in range(1, 60)).replace(
        "vars.v0", "vars.a"
    )
    + "}\n",
    "keys": "vars: {" + ", ".join(f"k{n}: 1" for n in range(20_000)) + "}\n",
    "binary": "\x00\x01\x02\n",
}


@pytest.mark.parametrize("bomb", list(BOMBS))
def test_reading_a_recipe_is_bounded(bomb: str) -> None:
    refused(BOMBS[bomb] + PRUNE)


LONG = {
    "steps": "length: 1000000000ep\nmodifiers: {p: {type: prune, sparsity: 0.5, start: 0ep,"
    " end: 999999999ep, every: 1st}}\n",
    "events": "length: 50000ep\nmodifiers: {p: {type: prune, sparsity: 0.5, start: 0ep,"
    " end: 49999ep, every: 1st}}\n",
    "rounds": "modifiers: {p: {type: iterative_prune, sparsity: 0.99999, fraction: 1.0e-9,"
    " every: 1ep, rewind: none}}\n",
    "pattern": f"targets: {{names: ['{'*a' * 100}b']}}\n{PRUNE}",
    "blocks": PRUNE.replace("type", "granularity: {block: [1000000000, 1000000000]}, type"),
}


@pytest.mark.parametrize("long", list(LONG))
def test_planning_a_recipe_is_bounded(long: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("sent.yaml").write_text(LONG[long])
    began = time.process_time()
    assert main(["plan", "recipe=./sent.yaml"]) == 2
    assert time.process_time() - began < 10
    assert "sent.yaml:" in capfd.readouterr().err


def test_a_linked_recipe_is_not_found_by_name() -> None:
    Path("outside.yaml").write_text(TINY)
    Path("recipes").mkdir()
    Path("recipes/linked.yaml").symlink_to(Path("outside.yaml").absolute())
    with pytest.raises(RecipeError, match="no recipe 'linked'"):
        load_recipe("linked")


def test_a_linked_recipe_outside_is_not_taken(tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.yaml"
    outside.write_text(TINY)
    Path("sent.yaml").symlink_to(outside)
    assert main(["plan", "recipe=./sent.yaml"]) == 2
    assert not Path(CANARY).exists()
