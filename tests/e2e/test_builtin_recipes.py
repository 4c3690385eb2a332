"""Every built-in recipe, end to end on digits, by the command a person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from pruneflow.recipe import library
from tests.e2e.command import read, run

NAMES = sorted(path.stem for path in (library.data_root() / "recipes").glob("*.yaml"))

WANTS = {
    "block_32": ["model=vit", "optimizer=adamw"],  # whose layers are multiples of 32
    "slimming": ["model=resnet20"],  # which has batch norms
}
"""What a recipe needs beyond the defaults."""


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_to_its_end_in_short_epochs(name: str) -> None:
    limits = ["+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1"]
    short = [*limits, "logger=none", "hydra.run.dir=mine"]
    assert run("train", f"recipe={name}", *WANTS.get(name, []), *short) == 0
    result = read(Path("mine/result.json"))
    assert result["status"] == "complete"
    planned = read(Path("mine/plan.json"))["events"]
    lines = Path("mine/journal.jsonl").read_text().splitlines()
    assert len(lines) == len(planned)
    left = planned[-1]["nonzeros"]
    assert left in (None, result["nonzeros"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*NAMES} - {"fine_tune_only"}))
def test_it_reaches_a_sensible_accuracy(name: str) -> None:
    command = ("train", f"recipe={name}", *WANTS.get(name, []), "logger=none")
    assert run(*command, "hydra.run.dir=mine") == 0
    result = read(Path("mine/result.json"))
    assert result["accuracy"]["final"] > 0.9, result["accuracy"]
    assert result["sparsity"] > 0.4
