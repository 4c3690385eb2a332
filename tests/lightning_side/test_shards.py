"""Recipes on modules whose weights Lightning's ``ModelParallelStrategy`` lets processes share."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.strategies import ModelParallelStrategy, SingleDeviceStrategy
from torch import multiprocessing, nn
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader

from pruneflow import RecipeCallback
from pruneflow.errors import PlanError
from pruneflow.pruning.shards import local
from pruneflow.recipe import schema
from pruneflow.recipe.declaration import Recipe
from tests.lightning_side import toy
from tests.loop import bits

pytestmark = pytest.mark.filterwarnings(toy.LIGHTNING_NOISE)

RANKS = 2
EPOCHS, STEPS = 3, 4
ROUNDS = {
    "it": {
        "type": "iterative_prune",
        "rounds": 2,
        "every": "4st",
        "rewind_to": "2st",
        "start": "3st",
    }
}


class Net(LightningModule):
    """6-9-1, shared out where a strategy has a mesh for it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(6, 9), nn.Linear(9, 1)

    def configure_model(self) -> None:
        if self.device_mesh is not None:
            for part in (self.first, self.last):
                fully_shard(part, mesh=self.device_mesh["data_parallel"])

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        loss: torch.Tensor = self.last(self.first(batch).tanh()).square().mean()
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), 0.01)


def recipe() -> Recipe:
    return schema.build({"modifiers": ROUNDS})


def batches() -> DataLoader[torch.Tensor]:
    """The same ones on every process."""
    inputs: Any = torch.randn(STEPS * 5, 6, generator=torch.Generator().manual_seed(1))
    return DataLoader(inputs, batch_size=5)


def trainer(callbacks: list[Callback], logger: CSVLogger | None = None, **more: Any) -> Trainer:
    return Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        callbacks=callbacks,
        logger=logger or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **more,
    )


class SaveHalfway(Callback):
    """Saves after the first pruning."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(self.path)


def outcome(module: Net, callback: RecipeCallback) -> Any:
    """Weights put together, and what happened."""
    assert callback.engine is not None
    weights: dict[str, Any] = dict(module.named_parameters())
    whole = {n: w.full_tensor() if hasattr(w, "full_tensor") else w for n, w in weights.items()}
    return str(bits([whole, callback.engine.state.journal]))


def work(rank: int, port: int, folder: Path) -> None:
    """One process: a whole run, and one that was saved on the way."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(RANKS),
        "LOCAL_WORLD_SIZE": str(RANKS), "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for checkpoint in (None, str(folder / "half")):
        module, callback = Net(), RecipeCallback(recipe())
        others = [] if checkpoint else [SaveHalfway(folder / "half")]
        strategy = ModelParallelStrategy(data_parallel_size=RANKS, tensor_parallel_size=1)
        logger = CSVLogger(folder, "logs", "resumed" if checkpoint else "whole")
        run = trainer([callback, *others], logger, strategy=strategy, devices=RANKS)
        run.fit(module, batches(), ckpt_path=checkpoint)
        assert callback.engine is not None
        rows = [len(local(mask)) for mask in callback.engine.state.masks.values()]
        found["resumed" if checkpoint else "whole"] = outcome(module, callback), rows
    if rank == 0:
        found["logged"] = (folder / "logs" / "whole" / "metrics.csv").read_text().splitlines()[0]
    torch.save(found, folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("parallel")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, (port, folder), RANKS)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.mark.slow
def test_processes_that_share_out_weights_train_what_one_trains(
    ranks: list[dict[str, Any]],
) -> None:
    module, callback = Net(), RecipeCallback(recipe())
    trainer([callback]).fit(module, batches())
    alone = outcome(module, callback)
    assert [found["whole"] for found in ranks] == [(alone, [5, 1]), (alone, [4, 0])]


@pytest.mark.slow
def test_a_checkpoint_brings_masks_and_snapshots_to_every_process(
    ranks: list[dict[str, Any]],
) -> None:
    assert all(found["resumed"] == found["whole"] for found in ranks)


@pytest.mark.slow
def test_sparsities_are_logged_and_not_what_one_process_cannot_know(
    ranks: list[dict[str, Any]],
) -> None:
    logged = ranks[0]["logged"]
    assert "recipe/layer_sparsity/first.weight" in logged
    assert "recipe/dead_units" not in logged


@pytest.mark.parametrize("name", ["FSDPStrategy", "DeepSpeedStrategy"])
def test_strategies_that_flatten_weights_are_refused(name: str) -> None:
    flattens = type(name, (SingleDeviceStrategy,), {})("cpu")
    with pytest.raises(PlanError, match=f"{name} flattens parameters"):
        trainer([RecipeCallback(recipe())], strategy=flattens).fit(Net(), batches())
