"""What do masks add to a checkpoint, in bytes and in the time to save it?

    python -m benchmarks.checkpoints

A perceptron of ten million weights that Lightning trains with Adam is pruned to 90 % and saved by
``trainer.save_checkpoint``: without pruning, with ``RecipeCallback``, and with ``ModelPruning``,
which either keeps a second tensor for every weight or (its default) makes its pruning permanent in
what it saves: a resume from that file knows no masks. All take turns in one process on one
thread; times are its CPU time, writing included, which varies so much with what the system does
that the least of all turns is compared. Results go to benchmarks/results/checkpoints.json.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelPruning
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.events import layers_of, perceptron
from benchmarks.measured import RESULTS, Prepared, here, in_turns, shown, spread
from pruneflow import runfolder
from pruneflow.callback import RecipeCallback
from pruneflow.recipe import schema

RESULT = RESULTS / "checkpoints.json"
TURNS = 15
SPARSITY = 0.9
PLAIN = "plain Lightning"


class Perceptron(LightningModule):
    """A network under Adam, which keeps two numbers more for every weight.

    Args:
        net: What is trained.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """See base class."""
        return F.cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """See base class."""
        return torch.optim.Adam(self.parameters())


def recipe_callback(module: Perceptron) -> Callback:
    """Ours, pruning before the first step."""
    words = {"type": "prune", "start": "0st", "sparsity": SPARSITY}
    return RecipeCallback(schema.build({"modifiers": {"prune": words}}))


def model_pruning(permanent: bool) -> Callable[[Perceptron], Callback]:
    """Lightning's, pruning after the first epoch."""

    def make(module: Perceptron) -> Callback:
        return ModelPruning(
            "l1_unstructured", [(layer, "weight") for layer in layers_of(module)], amount=SPARSITY,
            use_global_unstructured=True, use_lottery_ticket_hypothesis=False,
            make_pruning_permanent=permanent,
        )  # fmt: skip

    return make


CALLBACKS: dict[str, Callable[[Perceptron], Callback] | None] = {
    PLAIN: None,
    "RecipeCallback": recipe_callback,
    "ModelPruning": model_pruning(permanent=True),
    "ModelPruning, make_pruning_permanent=False": model_pruning(permanent=False),
}


def trained(make: Callable[[], nn.Module], name: str) -> Trainer:
    """A trainer after two steps of training."""
    torch.manual_seed(0)
    module = Perceptron(make())
    wanted = CALLBACKS[name]
    size = int(layers_of(module)[0].weight.shape[1])
    data = TensorDataset(torch.randn(8, size), torch.randint(10, (8,)))
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        callbacks=[] if wanted is None else [wanted(module)],
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, 4))
    return trainer


def saver(trainer: Trainer, path: Path) -> Prepared:
    """Saves a new file."""

    def prepared() -> Callable[[], Any]:
        path.unlink(missing_ok=True)
        return lambda: trainer.save_checkpoint(path)

    return prepared


def measured(make: Callable[[], nn.Module], turns: int) -> dict[str, Any]:
    """Bytes and seconds of every side's checkpoint."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # of loaders without workers, and of lists with weights_only
    with tempfile.TemporaryDirectory() as folder:
        trainers = {name: trained(make, name) for name in CALLBACKS}
        paths = {name: Path(folder) / f"{number}.ckpt" for number, name in enumerate(trainers)}
        times = in_turns({n: saver(each, paths[n]) for n, each in trainers.items()}, turns)
        return {
            name: {"bytes": paths[name].stat().st_size, "seconds": spread(times[name])}
            for name in trainers
        }


def main() -> None:
    """Measure, and write what came out."""
    torch.set_num_threads(1)
    weights = sum(layer.weight.numel() for layer in layers_of(perceptron()))
    found = {"what": "bytes, CPU seconds", "weights": weights, "sparsity": SPARSITY}
    sides = measured(perceptron, TURNS)
    runfolder.write_json(RESULT, {**found, "sides": sides, **here()})
    print(table(runfolder.read_json(RESULT)))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    plain = results["sides"][PLAIN]
    rows = [
        "| saved by | bytes | of plain | CPU seconds | least, of plain |",
        "|---|---|---|---|---|",
    ]
    for name, side in results["sides"].items():
        size, seconds = side["bytes"], side["seconds"]
        slower = seconds["low"] / plain["seconds"]["low"]
        rows.append(
            f"| {name} | {size:,} | {size / plain['bytes']:.2f} | {shown(seconds)} | {slower:.2f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
