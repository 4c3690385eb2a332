"""``pruneflow train``: what a run leaves behind, and that it can be had again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pruneflow.zoo.models import LeNet300100
from tests.e2e.command import lines, only, read, run, tiny, trained

FILES = {
    "run.lock.yaml", "recipe.lock.yaml", "plan.json", "run.png", "checkpoints", "logs",
    "pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl", "result.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One finished run, shared by the tests that only read it."""
    return trained(tmp_path_factory.mktemp("run"), name="run")


def test_the_folder_holds_every_file_and_nothing_half_written(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names >= FILES
    assert not [name for name in names if ".part" in name]


def test_the_journal_equals_the_plan_in_steps_events_and_totals(folder: Path) -> None:
    keys = ("step", "epoch", "modifier", "event", "sparsity", "nonzeros")
    planned = [[e[key] for key in keys] for e in read(folder / "plan.json")["events"]]
    assert [[e[key] for key in keys] for e in lines(folder / "journal.jsonl")] == planned


def test_the_plan_tells_the_rate_of_every_event(folder: Path) -> None:
    planned = [event["lr"] for event in read(folder / "plan.json")["events"]]
    assert [event["lr"] for event in lines(folder / "journal.jsonl")] == planned


def test_the_result_counts_exactly(folder: Path) -> None:
    result = read(folder / "result.json")
    masks, weights = (
        load_file(folder / "masks.safetensors"),
        load_file(folder / "pruned.safetensors"),
    )
    size = sum(mask.numel() for mask in masks.values())
    kept = sum(int(mask.sum()) for mask in masks.values())
    assert kept == result["nonzeros"] == size - round(0.9 * size)
    assert result["sparsity"] == 1 - kept / size
    for name, mask in masks.items():
        gone = weights[name][mask == 0]
        assert not gone.any()
        assert not torch.signbit(gone).any()
        assert result["layers"][name]["nonzeros"] == int(mask.sum())
    total = sum(weight.numel() for weight in weights.values())
    assert result["parameters"] == total
    assert result["compression"]["parameters"] == (total - size + kept) / total
    assert result["status"] == "complete"
    assert all(0 < score <= 1 for score in result["accuracy"].values())


def test_the_weights_load_into_the_plain_module(folder: Path) -> None:
    model = LeNet300100({"name": "sgd", "lr": 0.1})
    model.load_state_dict(load_file(folder / "pruned.safetensors"), strict=True)


def test_repeating_a_run_gives_the_same_bits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert run("train", "run=run", "hydra.run.dir=again") == 0
    for name in ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl"):
        assert Path("again", name).read_bytes() == Path("run", name).read_bytes(), name


def test_the_locked_recipe_is_a_recipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert run("recipes", "check", "./recipe.lock.yaml") == 0
    assert run("plan", "recipe=./recipe.lock.yaml") == 0
    assert read(only("outputs/plans/**/plan.json"))["digest"] == read(Path("plan.json"))["digest"]


def test_a_pruned_network_is_fine_tuned_and_stays_as_sparse(folder: Path) -> None:
    weights = folder / "pruned.safetensors"
    arguments = ("recipe=fine_tune_only", "recipe.length=1ep", f"model.weights='{weights}'")
    assert run("train", *arguments, "hydra.run.dir=tuned") == 0
    before, after = read(folder / "result.json"), read(Path("tuned/result.json"))
    assert after["nonzeros"] == before["nonzeros"]


def test_the_length_of_the_configuration_wins_over_the_recipes() -> None:
    tiny()
    assert run("train", "recipe=tiny", "sparsity=0.5", "trainer.max_epochs=4") == 0
    assert read(only("outputs/tiny/*/result.json"))["steps"] == 4 * 20


def test_lenet5_trains_too() -> None:
    tiny()
    assert run("train", "recipe=tiny", "sparsity=0.5", "model=lenet5", "optimizer=adam") == 0
    layers = read(only("outputs/tiny/*/result.json"))["layers"]
    assert layers["conv2.weight"]["sparsity"] == pytest.approx(0.5, abs=1e-3)
