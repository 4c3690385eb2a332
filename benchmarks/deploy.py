"""Is a pruned network faster than the best dense engine, and never slower?

    python -m benchmarks.deploy layers     linear layers 1024 and 4096 square, 90 and 95 %
    python -m benchmarks.deploy networks   LeNet-300-100, LeNet-5, MLP, 0 to 98 %, batch 1, 16, 64
    python -m benchmarks.deploy trained RUN   LeNet-5 as a run in the folder RUN left it
    python -m benchmarks.deploy table      the table of the README

Weights are pruned uniformly at random, the same share of each layer, but for ``trained``. Every
number is a ratio to the fastest dense engine (torch, torch.compile, ONNX Runtime; fp32) timed in
turns with it in one process, one thread; every engine was checked against float64 first. Losses
stay in. Results go to benchmarks/results/deploy_NAME.json, cell by cell.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from pruneflow import runfolder
from pruneflow.deploy.api import deploy_model
from pruneflow.deploy.loading import load
from pruneflow.deploy.measure import machine
from pruneflow.deploy.measure.timing import Times, interleaved, speedup, threads
from pruneflow.zoo.models import LeNet5, LeNet300100

RESULTS = Path(__file__).parent / "results"
BATCHES = {"networks": (1, 16, 64), "trained": (1, 16, 64), "layers": (1, 16, 128)}
SPARSITIES = {"layers": (0.9, 0.95), "networks": (0.0, 0.5, 0.8, 0.9, 0.95, 0.98)}
SECONDS = 1.0
SPARSE = ("c", "torch_csr", "by_layer")


def mlp(*sizes: int) -> nn.Module:
    """A perceptron for flattened images."""
    layers: list[nn.Module] = [nn.Flatten()]
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


NETWORKS = {
    "LeNet-300-100": lambda: LeNet300100({"name": "sgd", "lr": 0.1}),
    "LeNet-5": lambda: LeNet5({"name": "sgd", "lr": 0.1}),
    "MLP 784-1024-1024-10": lambda: mlp(784, 1024, 1024, 10),
}


def cases(name: str) -> Iterator[tuple[str, float, nn.Module, torch.Tensor]]:
    """Each case: what it is, its sparsity, the pruned network, and inputs."""
    torch.manual_seed(0)
    images = torch.randn(64, 1, 28, 28)
    if name == "trained":
        module = NETWORKS["LeNet-5"]()
        weights = load_file(Path(sys.argv[2]) / runfolder.WEIGHTS)
        module.load_state_dict(weights)
        yield "LeNet-5, trained", sparsity_of(module), module, images
    elif name == "layers":
        for size in (1024, 4096):
            for sparsity in SPARSITIES[name]:
                layer = nn.Linear(size, size)
                yield f"{size} x {size}", prune(layer, sparsity), layer, torch.randn(128, size)
    else:
        for network, make in NETWORKS.items():
            for sparsity in SPARSITIES[name]:
                module = make()
                yield network, prune(module, sparsity), module, images


def prune(module: nn.Module, sparsity: float) -> float:
    """Prune every weight uniformly at random."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            if weight.dim() > 1:
                order = torch.randperm(weight.numel(), generator=generator)
                weight.view(-1)[order[: round(sparsity * weight.numel())]] = 0
    return sparsity


def sparsity_of(module: nn.Module) -> float:
    """The share of zeros among the weights."""
    weights = [weight for weight in module.parameters() if weight.dim() > 1]
    return 1 - sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


def measure(module: nn.Module, inputs: torch.Tensor, batches: tuple[int, ...]) -> dict[str, Any]:
    """Deploy a network; then time the bundle as it was chosen against the best dense engine.

    Both are loaded anew and called alike; it is this second measurement that is published.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = deploy_model(
            module, inputs, folder, goal="latency", batches=batches, threads=(1,), seconds=SECONDS
        )
        cells = {}
        for cell in done.report["latency"]:
            runs = {
                "deployed": load(folder),
                "best dense": load(folder, backend=cell["best_dense"]),
            }
            with threads(1):
                times = interleaved(runs, inputs[: cell["batch"]], SECONDS)
            cells[str(cell["batch"])] = {
                "best_dense": cell["best_dense"],
                "chosen": cell["chosen"],
                "speedup": round(speedup(times["deployed"], times["best dense"]), 3),
                "microseconds": {name: summary(times[name]) for name in runs},
                "when_chosen": {
                    name: {key: engine[key] for key in ("median", "low", "high", "cold")}
                    for name, engine in cell["engines"].items()
                },
            }
    return cells


def summary(times: Times) -> dict[str, Any]:
    """Medians of turns: their median, spread, and all of them."""
    return {
        "median": round(times.median, 2),
        "low": round(times.quantile(0.1), 2),
        "high": round(times.quantile(0.9), 2),
        "cold": round(times.cold, 2),
        "turns": [round(turn, 2) for turn in times.warm],
    }


def main(name: str) -> None:
    """Measure all cases of a name, and write what is known after each."""
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    for title, sparsity, module, inputs in cases(name):
        cells = measure(module.eval(), inputs, BATCHES[name])
        found.append({"network": title, "sparsity": round(sparsity, 4), "batches": cells})
        shown = {batch: (cell["chosen"], cell["speedup"]) for batch, cell in cells.items()}
        print(title, sparsity, shown, flush=True)
        write(name, found)


def write(name: str, found: list[dict[str, Any]]) -> None:
    """The cases so far, the worst of them, and the machine."""
    ratios = [cell["speedup"] for case in found for cell in case["batches"].values()]
    tree = {
        "what": "speedup: how many times as fast as the best dense engine, one thread",
        "slowest": min(ratios),
        "cases": found,
        "device": machine.device(),
        "versions": machine.versions(),
    }
    runfolder.write_json(RESULTS / f"deploy_{name}.json", tree)


def table(*results: Mapping[str, Any]) -> str:
    """Results as Markdown: how many times as fast as the best dense engine."""
    rows = [
        "| network | sparsity | batch 1 | batch 16 | batch 64 or 128 |",
        "|---|---|---|---|---|",
    ]
    for case in (case for each in results for case in each["cases"]):
        cells = [
            f"{cell['speedup']:.2f} {cell['chosen'] if cell['chosen'] in SPARSE else 'dense'}"
            for cell in case["batches"].values()
        ]
        rows.append(f"| {case['network']} | {case['sparsity']:.0%} | {' | '.join(cells)} |")
    return "\n".join(rows)


def known() -> list[dict[str, Any]]:
    """All results that are there."""
    paths = [RESULTS / f"deploy_{name}.json" for name in BATCHES]
    return [runfolder.read_json(path) for path in paths if path.is_file()]


if __name__ == "__main__":
    print(table(*known())) if sys.argv[1] == "table" else main(sys.argv[1])
