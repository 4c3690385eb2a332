"""A run of length 0: given weights are pruned with calibration data, and nothing is trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pruneflow.checkpoint import newest_checkpoint
from tests.e2e.command import lines, read, run, trained
from tests.e2e.test_train import FILES

PRUNE = ["recipe=wanda_2_4", "recipe.length=0ep", "~recipe.modifiers.finetune"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained network in it, ``dense``, and one pruned after its training."""
    base = tmp_path_factory.mktemp("runs")
    trained(base, "sparsity=0.05", name="dense")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        weights = "model.weights=dense/pruned.safetensors"
        assert run("train", *PRUNE, weights, "hydra.run.dir=done") == 0
    return base


def test_the_folder_is_whole_and_the_journal_is_the_plan(base: Path) -> None:
    folder = base / "done"
    assert {path.name for path in folder.iterdir()} >= FILES
    result, plan = read(folder / "result.json"), read(folder / "plan.json")
    assert (result["status"], result["steps"], plan["steps"]) == ("complete", 0, 0)
    keys = ("step", "modifier", "event", "sparsity", "nonzeros", "lr")
    happened = [[e[key] for key in keys] for e in lines(folder / "journal.jsonl")]
    assert happened == [[e[key] for key in keys] for e in plan["events"]]
    assert [e[:3] for e in happened] == [[0, "prune", "prune"], [0, "freeze", "freeze"]]


def test_half_of_every_layer_is_zero_and_the_rest_as_it_was(base: Path) -> None:
    before = load_file(base / "dense" / "pruned.safetensors")
    after = load_file(base / "done" / "pruned.safetensors")
    masks = load_file(base / "done" / "masks.safetensors")
    assert set(masks) == {"fc1.weight", "fc2.weight", "fc3.weight"}
    for name, value in before.items():
        mask = masks.get(name, torch.ones_like(value))
        assert torch.equal(after[name], value * mask + 0.0)
        assert mask.ndim < 2 or not bool((mask.reshape(-1, 4).sum(1) > 2).any())


def test_accuracy_is_measured_before_and_after(base: Path) -> None:
    dense, done = (read(base / name / "result.json") for name in ("dense", "done"))
    assert done["accuracy"]["dense"] == dense["accuracy"]["final"]
    assert done["accuracy"]["pruned"] == done["accuracy"]["final"] > 0.5


def test_a_killed_one_is_finished_from_its_checkpoint(base: Path) -> None:
    folder = base / "done"
    checkpoint = newest_checkpoint(folder / "checkpoints")
    assert checkpoint is not None
    assert checkpoint.name == "step00000000.ckpt"
    bits = (folder / "pruned.safetensors").read_bytes(), (folder / "journal.jsonl").read_bytes()
    result = read(folder / "result.json")
    (folder / "result.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(base)
        assert run("train", "run=done", "ckpt_path=last") == 0
    again = read(folder / "result.json")
    assert bits == (
        (folder / "pruned.safetensors").read_bytes(),
        (folder / "journal.jsonl").read_bytes(),
    )
    assert (again["accuracy"], again["nonzeros"]) == (result["accuracy"], result["nonzeros"])


def test_the_report_takes_it(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    assert run("report", "done") == 0
    assert Path("done/report.html").stat().st_size > 10_000


def test_the_plan_says_the_rate_though_no_update_has_it() -> None:
    assert run("plan", *PRUNE, "hydra.run.dir=plan", "trainer.max_epochs=0") == 0
    plan = read(Path("plan/plan.json"))
    assert [(e["step"], e["lr"]) for e in plan["events"]] == [(0, 0.05)] * 2
    assert Path("plan/plan.png").stat().st_size > 5_000


def test_what_works_while_a_network_trains_is_to_be_removed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("plan", *PRUNE[:2]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "modifiers.finetune.type: works while a network trains" in said
