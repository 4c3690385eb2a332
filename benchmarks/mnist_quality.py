"""How good is each built-in recipe, on real MNIST, at the same budget?

    python -m benchmarks.mnist_quality            train what is missing, then write the table
    python -m benchmarks.mnist_quality table      write the table of what is there

Every recipe runs as it stands, on LeNet-300-100 at five sparsities and (six of them) on LeNet-5 at
two, with three seeds, beside a dense network and random masks of as many epochs. An "epoch" of a
recipe is a quarter (LeNet-5: a tenth) of MNIST, drawn anew each time, so that a recipe of 20
epochs reads it five times (twice). Nothing is chosen by test data; settings are the same for all.

Runs go to benchmarks/results/mnist_quality.json as they end, and those in it are not repeated; the
table goes to mnist_quality.md and the picture to mnist_quality.png beside it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import quality_table
from benchmarks.training import trained
from pruneflow import runfolder
from pruneflow.errors import RecipeError, UserError
from pruneflow.recipe import library
from pruneflow.recipe.compose import load_recipe

RESULTS = Path(__file__).parent / "results" / "mnist_quality.json"
OWN = Path(__file__).parent / "recipes"
WORKERS = 2

SEEDS = range(3)
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
LENET5_SPARSITIES = (0.9, 0.98)
LENET5_RECIPES = ("one_shot", "gradual", "lamp", "rigl", "movement", "distill_gradual")
CONTROLS = {
    "lenet_imp": ("dense_equal_epochs",),
    "lottery": ("dense_equal_epochs", "random_mask"),
}
"""Of the recipes whose length depends on the sparsity."""

LEFT_OUT = {
    "fine_tune_only": "prunes nothing",
    "slimming": "needs batch norm",
    "block_32": "the layers are no multiples of 32",
}
COMMON = (
    "data=mnist", "data.batch_size=256", "optimizer=adam", "logger=none", "trainer.threads=1",
    "+trainer.check_val_every_n_epoch=20", "checkpoint.every_n_steps=0",
)  # fmt: skip
SHARE = {"lenet_300_100": 0.25, "lenet5": 0.1}


@dataclass(frozen=True)
class Cell:
    """One network to train.

    Attributes:
        model: Of the zoo.
        recipe: What the table calls it.
        source: The recipe's name or file.
        sparsity: None: the recipe's own.
        control: Of the recipe.
        seed: Of everything random.
    """

    model: str
    recipe: str
    source: str
    sparsity: float | None
    control: str
    seed: int

    @property
    def key(self) -> str:
        """What it is known by in the results."""
        return f"{self.model} {self.recipe} {self.sparsity} {self.control} {self.seed}"

    @property
    def overrides(self) -> list[str]:
        """What the command line would say."""
        share = f"+trainer.limit_train_batches={SHARE[self.model]}"
        words = [f"recipe={self.source}", f"model={self.model}", f"seed={self.seed}", share]
        words += [] if self.sparsity is None else [f"sparsity={self.sparsity}"]
        words += [] if self.control == "none" else [f"control={self.control}"]
        return [*words, *COMMON]


def cells() -> Iterator[Cell]:
    """All networks, seed after seed, so that an early stop leaves whole columns."""
    for seed in SEEDS:
        yield from _cells("lenet_300_100", recipes(), SPARSITIES, seed)
    for seed in SEEDS:
        yield from _cells("lenet5", LENET5_RECIPES, LENET5_SPARSITIES, seed)


def recipes() -> list[str]:
    """The built-in recipes that fit both networks."""
    folder = library.data_root() / "recipes"
    return sorted(path.stem for path in folder.glob("*.yaml") if path.stem not in LEFT_OUT)


def _cells(model: str, names: Any, sparsities: tuple[float, ...], seed: int) -> Iterator[Cell]:
    yield Cell(model, "dense", str(OWN / "dense.yaml"), None, "none", seed)
    for name in ("random_mask", *names):
        source = str(OWN / f"{name}.yaml") if name == "random_mask" else f"builtin/{name}"
        for sparsity in sparsities if _has_knob(source) else (None,):
            yield Cell(model, name, source, sparsity, "none", seed)
            for control in CONTROLS.get(name, ()):
                yield Cell(model, name, source, sparsity, control, seed)


def _has_knob(source: str) -> bool:
    """Whether a recipe takes a sparsity."""
    try:
        load_recipe(source, sparsity=0.5)
    except RecipeError:
        return False
    return True


def measure(cell: Cell) -> dict[str, Any]:
    """Train one network and tell how good it is."""
    torch.set_num_threads(1)
    with Path(os.devnull).open("w") as nobody:
        try:
            result, _ = trained(cell.overrides, Console(file=nobody))
        except UserError as error:
            return {"key": cell.key, **vars(cell), "refused": str(error)}
    keys = ("sparsity", "nonzeros", "steps", "seconds", "config_hash", "status")
    found = {f"reached_{key}" if key == "sparsity" else key: result[key] for key in keys}
    accuracy = {f"{when}_accuracy": result["accuracy"][when] for when in ("pruned", "final")}
    return {"key": cell.key, **vars(cell), **found, **accuracy}


def main(*words: str) -> None:
    """Run what is missing, and write the table."""
    runs = runfolder.read_json(RESULTS)["runs"] if RESULTS.is_file() else []
    done = {run["key"] for run in runs}
    missing = [] if "table" in words else [cell for cell in cells() if cell.key not in done]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with (
        Progress(*columns) as progress,
        ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool,
    ):
        bar = progress.add_task("training", total=len(missing))
        for future in as_completed([pool.submit(measure, cell) for cell in missing]):
            runs.append(future.result())
            write(runs)
            progress.update(bar, advance=1, description=runs[-1]["key"])
    write(runs)
    quality_table.write(RESULTS, LEFT_OUT)


def write(runs: list[dict[str, Any]]) -> None:
    """All runs up to now."""
    machine = {"processor": platform.machine(), "torch": torch.__version__, "threads": 1}
    settings = {"common": list(COMMON), "share_of_an_epoch": SHARE}
    content = {"settings": settings, "machine": machine, "runs": sorted(runs, key=_order)}
    runfolder.write_json(RESULTS, content)


def _order(run: dict[str, Any]) -> tuple[Any, ...]:
    return (run["model"], run["recipe"], run["control"], run["sparsity"] or 0, run["seed"])


if __name__ == "__main__":
    main(*sys.argv[1:])
