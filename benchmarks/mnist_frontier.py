"""How few weights do for MNIST?

    python -m benchmarks.mnist_frontier                 three seeds of both networks
    python -m benchmarks.mnist_frontier lenet5 0 1      seeds 0 and 1 of LeNet-5

LeNet-300-100 keeps 2,662 of 266,200 weights (100 times fewer), LeNet-5 2,152 of 430,500 (200
times fewer); biases stay and are not counted. Settings were chosen by validation data; test data
decides nothing, and only the error on it at the end of a run is kept. Results go to
benchmarks/results/mnist_frontier.json; runs that are in it already are not repeated.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measured import here
from benchmarks.training import trained
from pruneflow import runfolder

RESULT = Path(__file__).parent / "results" / "mnist_frontier.json"
SEEDS = range(3)

COMMON = [
    "data=mnist",
    "data.augment.shift=1",
    "optimizer=adam",
    "optimizer.weight_decay=1e-4",
    "trainer.threads=1",
    "checkpoint.every_n_steps=1000",
]
CASES = {
    "lenet_300_100": [
        "recipe=./benchmarks/recipes/frontier_300_100.yaml",
        "model=lenet_300_100",
        "data.batch_size=256",
        "optimizer.lr=0.002",
        *COMMON,
    ],
    "lenet5": [
        "recipe=./benchmarks/recipes/frontier_lenet5.yaml",
        "model=lenet5",
        "data.batch_size=128",
        "optimizer.lr=0.0015",
        *COMMON,
    ],
}
GOALS = {"lenet_300_100": 2.0, "lenet5": 1.0}  # percent of test images


def main(arguments: Sequence[str]) -> None:
    """Run what is missing and write it down after every run."""
    cases = arguments[:1] or CASES
    seeds = [int(seed) for seed in arguments[1:]] or SEEDS
    runs = json.loads(RESULT.read_text())["runs"] if RESULT.is_file() else []
    for case in cases:
        for seed in seeds:
            if not any((run["case"], run["seed"]) == (case, seed) for run in runs):
                runs.append({"case": case, **measure([*CASES[case], f"seed={seed}"])})
                write(runs)
    print(RESULT.read_text())


def measure(overrides: list[str]) -> dict[str, Any]:
    """Train one network; how large and how good it is."""
    began = time.process_time()
    result, history = trained(overrides)
    counts = {key: layer["nonzeros"] for key, layer in result["layers"].items()}
    biases = {key for key in counts if key.endswith("bias")}
    return {
        "seed": result["seed"],
        "validation_error": percent_wrong(history[-1]["val_accuracy"]),
        "test_error": percent_wrong(result["accuracy"]["final"]),
        "nonzeros": sum(counts[key] for key in counts.keys() - biases),
        "biases": sum(counts[key] for key in biases),
        "layers": {key: counts[key] for key in counts if key not in biases},
        "steps": result["steps"],
        "seconds": result["seconds"],
        "cpu_seconds": round(time.process_time() - began, 1),
        "config_hash": result["config_hash"],
        "versions": result["versions"],
    }


def percent_wrong(accuracy: float) -> float:
    """The error in percent, free of float32's noise."""
    return round(100 * (1 - accuracy), 3)


def write(runs: list[dict[str, Any]]) -> None:
    """The runs, and what they come to beside the goals."""
    cases = {}
    for case, overrides in CASES.items():
        errors = [run["test_error"] for run in runs if run["case"] == case]
        cases[case] = {
            "settings": overrides,
            "goal_test_error": GOALS[case],
            "mean_test_error": round(sum(errors) / len(errors), 3) if errors else None,
        }
    runfolder.write_json(RESULT, {"cases": cases, "threads": 1, **here(), "runs": runs})


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = [
        "| network | seed | weights left | biases | validation error, % | test error, % |",
        "|---|---|---|---|---|---|",
    ]
    for run in results["runs"]:
        counts = f"{run['nonzeros']:,} | {run['biases']:,}"
        errors = f"{run['validation_error']:.2f} | {run['test_error']:.2f}"
        rows.append(f"| {run['case']} | {run['seed']} | {counts} | {errors} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
