"""Law 6, the other half: where a resume cannot be exact, PruneFlow says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pruneflow.checkpoint import newest_checkpoint
from pruneflow.errors import ResumeError
from tests.lightning_side import toy
from tests.lightning_side.killing import BEFORE, run

pytestmark = [
    pytest.mark.filterwarnings(toy.LIGHTNING_NOISE),
    pytest.mark.filterwarnings(toy.FEW_WORKERS),
]


class One(toy.Toy):
    """Learns from one of several loaders."""

    def training_step(self, batch: Any, index: int) -> Any:
        (part,) = batch.values() if isinstance(batch, dict) else batch
        return super().training_step(part, index)


@pytest.mark.parametrize(
    ("among", "module"),
    [(lambda one: one, toy.Toy), (lambda one: {"a": one}, One), (lambda one: [one], One)],
    ids=["alone", "in a dictionary", "in a list"],
)
def test_persistent_workers_are_told_that_nothing_is_written(among: Any, module: Any) -> None:
    loader = among(toy.shuffled(num_workers=1, persistent_workers=True))
    with pytest.warns(UserWarning, match="no exact checkpoint can be written: persistent workers"):
        run(Path("none"), tree=toy.once(), loader=lambda: loader, module=module, max_epochs=1)
    assert not any(Path("none").iterdir())


def test_another_recipe_is_refused() -> None:
    run(Path("one"), kill=(21, BEFORE), max_epochs=4)
    with pytest.raises(ResumeError, match="comes from another recipe or another length"):
        run(Path("one"), tree=toy.GRADUAL, max_epochs=4)


def test_other_numbers_in_the_same_recipe_are_refused() -> None:
    run(Path("one"), kill=(21, BEFORE), tree=toy.GRADUAL, max_epochs=4)
    other = {"modifiers": {"prune": {**toy.GRADUAL["modifiers"]["prune"], "sparsity": 0.7}}}
    with pytest.raises(ResumeError, match="comes from another recipe"):
        run(Path("one"), tree=other, max_epochs=4)


def _forge(folder: Path, processes: int = 1, **state: Any) -> None:
    path = newest_checkpoint(folder)
    content = torch.load(path, weights_only=True)
    exact = content["callbacks"]["pruneflow.exact_resume"]
    exact["ranks"] = [{**exact["ranks"][0], **state}] * processes
    torch.save(content, path)


def test_another_world_size_is_refused() -> None:
    run(Path("one"), kill=(21, BEFORE), max_epochs=4)
    _forge(Path("one"), processes=2)
    with pytest.raises(ResumeError, match="written by 2 processes, and 1 cannot continue it"):
        run(Path("one"), max_epochs=4)


def test_another_thread_count_is_told() -> None:
    run(Path("one"), kill=(21, BEFORE), max_epochs=4)
    _forge(Path("one"), threads=7)
    with pytest.warns(UserWarning, match="written with 7 threads, this process has 1"):
        run(Path("one"), max_epochs=4)
