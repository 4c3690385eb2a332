"""Does a pruned network keep the accuracy of a dense one that was trained as long?

    python -m benchmarks.accuracy digits        five seeds of lenet_imp at 0.9, LeNet-300-100
    python -m benchmarks.accuracy mnist         lenet_imp at 0.9 on MNIST, LeNet-5, in 8 epochs

The dense control is ``control=dense_equal_epochs``: as many epochs, the same learning rates.
Nothing is chosen by test data. Results go to benchmarks/results/accuracy_NAME.json; runs
that are in it already are not repeated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.measured import RESULTS, here
from benchmarks.training import trained
from pruneflow import runfolder

CASES = {
    "digits": (["recipe=lenet_imp", "sparsity=0.9"], range(5)),
    "mnist": (
        [
            "recipe=lenet_imp",
            "sparsity=0.9",
            "model=lenet5",
            "data=mnist",
            "recipe.modifiers.prune.start=2ep",
            "recipe.modifiers.prune.every=0.5ep",
            "data.batch_size=256",
        ],
        range(1),
    ),
}

KINDS = {"pruned": "none", "dense": "dense_equal_epochs"}


def main(name: str) -> None:
    """Run what is missing of a case and write the summary."""
    overrides, seeds = CASES[name]
    path = RESULTS / f"accuracy_{name}.json"
    known = json.loads(path.read_text())["runs"] if path.is_file() else []
    for seed in seeds:
        for kind in KINDS:
            if not any(run["seed"] == seed and run["kind"] == kind for run in known):
                control = KINDS[kind]
                run = measure([*overrides, f"seed={seed}", f"control={control}"])
                known.append({"kind": kind, **run})
                write(path, overrides, known)
    print(path.read_text())


def measure(overrides: list[str]) -> dict[str, Any]:
    """Train one network and tell how good it is."""
    result, _ = trained(overrides)
    keys = ("seed", "sparsity", "nonzeros", "steps", "seconds", "config_hash")
    return {key: result[key] for key in keys} | {"test_accuracy": result["accuracy"]["final"]}


def write(path: Path, overrides: list[str], runs: list[dict[str, Any]]) -> None:
    """The runs, and the mean drop over those seeds that have both."""
    score = {(run["kind"], run["seed"]): run["test_accuracy"] for run in runs}
    seeds = sorted({seed for kind, seed in score if ("pruned", seed) in score
                    and ("dense", seed) in score})  # fmt: skip
    drops = [100 * (score["dense", seed] - score["pruned", seed]) for seed in seeds]
    summary = {
        "case": overrides,
        "mean_drop_points": round(sum(drops) / len(drops), 3) if drops else None,
        "drops_points": [round(drop, 3) for drop in drops],
        "runs": runs,
        "threads": torch.get_num_threads(),
        **here(),
    }
    runfolder.write_json(path, summary)


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown: test accuracies, and what pruning costs in points."""
    pruned, dense = (
        {run["seed"]: run["test_accuracy"] for run in results["runs"] if run["kind"] == kind}
        for kind in KINDS
    )
    rows = ["| seed | dense, as long | pruned | lost, points |", "|---|---|---|---|"]
    for seed in sorted(pruned.keys() & dense.keys()):
        lost = 100 * (dense[seed] - pruned[seed])
        rows.append(f"| {seed} | {dense[seed]:.2%} | {pruned[seed]:.2%} | {lost:.2f} |")
    drops = results["drops_points"]
    spread = f"{results['mean_drop_points']:.2f} ({min(drops):.2f} - {max(drops):.2f})"
    return "\n".join([*rows, f"| mean (least - greatest) | | | {spread} |"])


if __name__ == "__main__":
    main(sys.argv[1])
