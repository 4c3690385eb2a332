"""When a run is measured: right before prunings and right after the last, of a trained network."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.command import only, read, run, tiny

AT_ONCE = "length: 2ep\nmodifiers:\n  p: {type: prune, sparsity: 0.5}\n"
PHASES = """\
length: 6ep
modifiers:
  p: {type: acdc, sparsity: 0.5, start: 1ep, phase: 1ep, end: 5ep}
"""


def result(text: str, *overrides: str, name: str = "done") -> dict[str, object]:
    tiny(text=text)
    assert run("train", "recipe=tiny", f"hydra.run.dir={name}", *overrides) == 0
    found: dict[str, object] = read(only(f"{name}/result.json"))
    return found


def test_an_untrained_network_is_not_measured() -> None:
    found = result(AT_ONCE)
    accuracy = found["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["dense"] is accuracy["pruned"] is None
    assert accuracy["final"] > 0.5
    (last,) = found["rounds"]  # type: ignore[misc, attr-defined]
    assert last["test_accuracy"] == accuracy["final"]

    again = result(AT_ONCE, f"model.weights={Path('done/pruned.safetensors').resolve()}", name="b")
    accuracy = again["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["dense"] == pytest.approx(last["test_accuracy"]), "this one comes trained"
    assert accuracy["pruned"] is not None


def test_in_phases_it_is_measured_right_before_each_compression() -> None:
    found = result(PHASES)
    rounds = found["rounds"]
    assert isinstance(rounds, list)
    size = rounds[0]["nonzeros"]
    assert [r["nonzeros"] for r in rounds] == [size, size, size, size - round(size / 2)]
    accuracy = found["accuracy"]
    assert isinstance(accuracy, dict)
    assert accuracy["dense"] == rounds[0]["test_accuracy"]


UNTESTED = """\
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

class Untested(LightningDataModule):
    def loader(self):
        draw = torch.Generator().manual_seed(0)
        images = torch.randn(64, 1, 28, 28, generator=draw)
        return DataLoader(TensorDataset(images, torch.arange(64) % 10), 32)

    train_dataloader = val_dataloader = loader
"""


def test_data_without_a_test_leave_accuracy_open() -> None:
    Path("untested.py").write_text(UNTESTED)
    found = result(AT_ONCE, "data.module=untested:Untested")
    assert found["accuracy"] == {"dense": None, "pruned": None, "final": None}
    assert found["sparsity"] == 0.5
