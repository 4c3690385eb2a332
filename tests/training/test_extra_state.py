"""Modules whose state is more than tensors keep their result: it is opened, gone on from, shipped.

In these runs a part counts its forward passes and tells the count by ``get_extra_state``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from safetensors.torch import load_file
from torch import nn

from pruneflow import load
from pruneflow.module_tensors import load_tensors
from pruneflow.training.finished import open_run
from tests.e2e import command
from tests.e2e.command import run, tiny

MODULE = f"model.module={__name__}:Counting"
INSTANT = ("deploy.seconds=0", "deploy.batches=1", "deploy.threads=1", "deploy.candidates=torch")


class Tells(nn.Linear):
    """Has an extra state that it does not take back."""

    def get_extra_state(self) -> Any:
        return {"why": "for whoever reads the checkpoint"}


class Counts(nn.Module):
    """Changes nothing, and counts how often; it begins with 7."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 7

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += self.training
        return x.float()

    def get_extra_state(self) -> Any:
        return {"count": self.count}

    def set_extra_state(self, state: Any) -> None:
        self.count = state["count"]


class Keeps(nn.Module):
    """Has an extra state that is a tensor."""

    kept = torch.zeros(2)

    def get_extra_state(self) -> Any:
        return self.kept

    def set_extra_state(self, state: Any) -> None:
        self.kept = state


class Counting(LightningModule):
    """Digits, with parts of each kind; erf is no listed operation."""

    def __init__(self) -> None:
        super().__init__()
        self.counts, self.hidden, self.out = Counts(), nn.Linear(28 * 28, 30), Tells(30, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.out(self.hidden(self.counts(x).flatten(1)).relu().erf())
        return scores

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, ``done``, trained once for all tests."""
    with pytest.warns(UserWarning, match=r"'counts\._extra_state' is none: whoever opens"):
        return command.trained(tmp_path_factory.mktemp("trained"), "sparsity=0.5", MODULE)


@pytest.fixture
def done(trained: Path) -> Path:
    """The finished run, for this test alone."""
    shutil.copytree(trained, "done")
    return Path("done")


def test_the_weights_are_tensors_alone_and_come_back_without_the_rest(done: Path) -> None:
    weights = load_file(done / "pruned.safetensors")
    assert sorted(weights) == ["hidden.bias", "hidden.weight", "out.bias", "out.weight"]
    module = open_run(done, trusted=True).module
    assert isinstance(module, Counting)
    assert module.counts.count == 7
    assert all(torch.equal(weights[name], p) for name, p in module.named_parameters())


def test_a_run_begins_with_them(done: Path) -> None:
    begun = ("recipe=tiny", "sparsity=0.5", MODULE, "model.weights=done/pruned.safetensors")
    tiny()
    with pytest.warns(UserWarning, match="_extra_state"):
        assert run("train", "hydra.run.dir=again", *begun) == 0
    assert open_run(Path("again"), trusted=True).result["status"] == "complete"


def test_it_is_deployed_and_loaded_into_a_module_that_keeps_its_own(done: Path) -> None:
    assert run("deploy", "run=done", "trust=true", *INSTANT) == 0
    module, x = Counting().eval(), torch.rand(3, 1, 28, 28)
    module.counts.count = 11
    with torch.no_grad():
        deployed = load(done, into=module)(x)
        assert module.counts.count == 11
        assert torch.allclose(deployed, open_run(done, trusted=True).module(x), atol=1e-5)


def test_an_extra_state_that_is_a_tensor_is_loaded_and_may_be_absent() -> None:
    module = nn.Sequential(nn.Linear(2, 2), Keeps())
    weights = {name: torch.ones_like(p) for name, p in module.named_parameters()}
    load_tensors(module, {**weights, "1._extra_state": torch.ones(2)})
    assert torch.equal(module.state_dict()["1._extra_state"], torch.ones(2))
    load_tensors(module, weights)
    assert torch.equal(module.state_dict()["1._extra_state"], torch.ones(2))


@pytest.mark.parametrize("change", [{"other": torch.ones(2)}, {"0.weight": None}])
def test_another_modules_tensors_are_refused_as_ever(change: dict[str, Any]) -> None:
    module = nn.Sequential(Tells(2, 2), Counts())
    tensors = {**dict(module.named_parameters()), **change}
    with pytest.raises(RuntimeError, match=next(iter(change))):
        load_tensors(module, {name: t for name, t in tensors.items() if t is not None})
