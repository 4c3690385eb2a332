"""Checkpoint files: whole or absent, few, plain, and readable without PruneFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from pruneflow import ExactCheckpoint, RecipeCallback, runfolder
from pruneflow.checkpoint import newest_checkpoint
from pruneflow.errors import ResumeError
from pruneflow.recipe.schema import build
from tests.lightning_side import toy

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

FOLDER = Path("checkpoints")


def _train(every: int = 5, keep: int = 2, *others: Any, **options: Any) -> RecipeCallback:
    recipe = RecipeCallback(build(toy.GRADUAL))
    toy.fit([*others, recipe, ExactCheckpoint(FOLDER, every, keep)], **options)
    return recipe


def _names() -> list[str]:
    return sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_newest_files_stay(keep: int) -> None:
    """Step 36 is an epoch's end; 35 and 30 lie inside."""
    _train(5, keep)
    steps = [10, 12, 15, 20, 24, 25, 30, 35, 36]
    assert _names() == [f"step{step:08d}.ckpt" for step in steps[-keep:]]


def test_a_file_appears_under_its_name_only_when_it_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Flushed to the disk, renamed within one folder, and the folder flushed after it."""
    log: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(runfolder.os, name)

        def noted(*args: Any, name: str = name, real: Any = real) -> Any:
            log.append(name)
            if name == "replace":
                part, path = map(Path, args)
                assert part.resolve().parent == path.resolve().parent
                assert not path.exists()
                assert torch.load(part, weights_only=True)["global_step"] > 0
            return real(*args)

        monkeypatch.setattr(runfolder.os, name, noted)
    _train(0)
    assert log == ["fsync", "replace", "fsync"] * 3
    assert all(name.endswith(".ckpt") for name in _names())


def test_half_written_leftovers_are_swept_and_strangers_stay() -> None:
    FOLDER.mkdir()
    for name in ("step00000003.ckpt.77.part", "best.ckpt", "notes.txt"):
        (FOLDER / name).write_bytes(b"half")
    _train(0)
    assert _names() == ["best.ckpt", "notes.txt", "step00000024.ckpt", "step00000036.ckpt"]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 512] = bytes(byte ^ 255 for byte in data[middle : middle + 512])
    path.write_bytes(bytes(data))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _nonsense(path: Path) -> None:
    path.write_bytes(b"not a checkpoint at all" * 100)


def _foreign(path: Path) -> None:
    torch.save({"state_dict": {}}, path)


@pytest.mark.parametrize("damage", [_truncate, _flip, _empty, _nonsense, _foreign])
def test_the_newest_checkpoint_is_the_newest_good_one(damage: Any) -> None:
    _train(5, keep=3)
    assert newest_checkpoint(FOLDER) == FOLDER / "step00000036.ckpt"
    damage(FOLDER / "step00000036.ckpt")
    assert newest_checkpoint(FOLDER) == FOLDER / "step00000035.ckpt"
    damage(FOLDER / "step00000035.ckpt")
    damage(FOLDER / "step00000030.ckpt")
    assert newest_checkpoint(FOLDER) is None


def test_there_is_no_newest_checkpoint_in_an_empty_or_absent_folder(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None
    (tmp_path / "step00000003.ckpt.77.part").write_bytes(b"half")
    assert newest_checkpoint(tmp_path) is None


def test_everything_an_exact_resume_needs_is_inside_as_plain_values() -> None:
    recipe = _train(5, max_epochs=4, limit_val_batches=1, keep=9)
    path = FOLDER / "step00000035.ckpt"
    callbacks = torch.load(path, weights_only=True)["callbacks"]
    (exact,), state = callbacks["pruneflow.exact_resume"]["ranks"], callbacks["pruneflow.recipe"]
    assert exact["rng"].keys() >= {"torch", "numpy", "python"}
    assert exact["loader"] == {"epoch": 2, "position": 11}
    assert exact["threads"] == torch.get_num_threads()
    assert "train_loss" in " ".join(exact["results"])
    assert exact["metrics"].keys() == {"accuracy"}
    assert state["clock"] == 35
    assert [entry["step"] for entry in state["journal"]] == [4, 8, 12, 16, 20]
    assert state["journal"] == recipe.engine.state.journal
    assert all(mask.dtype == torch.bool for mask in state["masks"].values())


def test_saving_changes_nothing() -> None:
    """A run that saves and one that does not are the same run."""
    prints = []
    for every in (0, 1):
        recipe = RecipeCallback(build(toy.TICKETS))
        saving = [ExactCheckpoint(FOLDER, 1)] if every else []
        run, module = toy.fit([recipe, *saving], module=lambda: toy.Toy("plateau"), max_epochs=4)
        prints.append(toy.fingerprint(run, module, recipe))
    assert prints[0] == prints[1]


def test_saving_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """Lightning would say at every save that it was not asked for the weights alone."""
    with caplog.at_level("INFO"):
        _train(5)
    assert "weights_only" not in caplog.text


def test_it_counts_a_recipe_s_steps() -> None:
    with pytest.raises(ResumeError, match="add a RecipeCallback"):
        toy.fit([ExactCheckpoint(FOLDER)])


def test_keys_are_those_of_the_plain_module() -> None:
    module = toy.Toy()
    keys, before = list(module.state_dict()), list(dict(module.named_parameters()))
    seen = []

    class Look(pl.Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            seen.append((list(pl_module.state_dict()), list(dict(pl_module.named_parameters()))))

    _train(5, 2, Look(), module=module)
    assert seen == [(keys, before)] * 36
    assert list(torch.load(newest_checkpoint(FOLDER), weights_only=True)["state_dict"]) == keys


READER = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pruneflow":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import torch
from tests.lightning_side.toy import Toy

for path in sys.argv[1:]:
    module = Toy()
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"], strict=True)
    again = Toy.load_from_checkpoint(path, weights_only=True)
    assert torch.equal(module.body[0].weight, again.body[0].weight)
    print(int((module.body[0].weight == 0).sum() + (module.body[4].weight == 0).sum()))
assert not any(name.partition(".")[0] == "pruneflow" for name in sys.modules)
"""


def test_a_checkpoint_loads_where_pruneflow_is_not_installed(repository: Path) -> None:
    ordinary = ModelCheckpoint("ordinary", save_top_k=-1)
    recipe = _train(5, 2, ordinary)
    paths = [str(newest_checkpoint(FOLDER).resolve()), ordinary.best_model_path]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READER, *paths],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    zeros = recipe.plan.size - recipe.engine.nonzeros
    assert result.stdout.split() == [str(zeros)] * 2
