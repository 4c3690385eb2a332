"""A granularity from a recipe's text to a bundle, by the real commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from pruneflow.deploy.formats import FORMATS
from tests.e2e.command import lines, read, run, tiny

RECIPE = """\
# Two of every four.
length: 3ep
modifiers:
  prune: {type: prune, granularity: 2:4, start: 1ep, end: 2ep, every: 1ep}
  freeze: {type: freeze_mask, start: prune.end}
"""
DEPLOY = ("deploy.seconds=0", "deploy.batches=1", "deploy.threads=1", "deploy.candidates=torch")


def test_two_of_four_is_trained_and_deployed() -> None:
    tiny("recipes/nm.yaml", RECIPE)
    assert run("train", "recipe=nm", "hydra.run.dir=done") == 0
    events = [event for event in read(Path("done/plan.json"))["events"] if event["label"]]
    assert [event["label"] for event in events] == ["prune 1 of 2, 2:4", "prune 2 of 2, 2:4"]
    journal = lines(Path("done/journal.jsonl"))
    assert [entry["nonzeros"] for entry in journal] == [266_200, 133_100, 133_100]
    for name, mask in load_file("done/masks.safetensors").items():
        assert bool((mask.ne(0).reshape(-1, 4).sum(1) == 2).all()), name
    assert "granularity: '2:4'" in Path("done/recipe.lock.yaml").read_text()

    assert run("deploy", "run=done", *DEPLOY) == 0
    layers = read(Path("done/deploy/report.json"))["layers"]
    weights = load_file("done/pruned.safetensors")
    assert all(
        FORMATS["n:m"].refuses(weights[f"{it['name']}.weight"].ne(0)) is None for it in layers
    )
    assert all(it["bytes"] == it["parameters"] * (32 * 2 / 4 + 1) / 8 for it in layers)


def test_what_does_not_fit_is_said_before_anything_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tiny("recipes/nm.yaml", RECIPE)
    blocks = "recipe.modifiers.prune.granularity={block: [32, 32]}"
    assert run("train", "recipe=nm", blocks, "+recipe.modifiers.prune.sparsity=0.5") == 2
    said = capsys.readouterr().err
    for name in ("'fc1.weight' (300 x 784)", "'fc2.weight' (100 x 300)", "'fc3.weight' (10 x 100)"):
        assert name in said
    assert "for blocks of 32 x 32 a layer needs multiples of 32 outputs and of 32 inputs" in said
    assert not Path("outputs").exists()
