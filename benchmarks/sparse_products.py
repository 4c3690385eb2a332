"""Is a packed layer faster than the sparse products that everybody has?

    python -m benchmarks.sparse_products

The layers of ``benchmarks.deploy layers`` (weights pruned at random), multiplied by our C kernels,
by scipy's CSR matrix, by torch's CSR tensor and by dense torch, each checked against float64 first.
All take turns in one process on one thread, called alike; times are medians of turns by the clock,
and each ratio is the median over turns. Results go to benchmarks/results/sparse_products.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import scipy.sparse
import torch
from torch import nn

from benchmarks import deploy
from benchmarks.measured import RESULTS, here
from pruneflow import runfolder
from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.engines import build
from pruneflow.deploy.measure.timing import interleaved, speedup, threads
from pruneflow.deploy.network import of_module

RESULT = RESULTS / "sparse_products.json"
SECONDS = 0.5
OURS = "c"
PEERS = ("scipy", "torch_csr", "torch")


def scipys(layer: nn.Linear) -> Run:
    """``CSR @ dense``, from a tensor to a tensor."""
    matrix = scipy.sparse.csr_array(layer.weight.detach().numpy())
    bias = layer.bias.detach().numpy()[:, None]

    def run(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy((matrix @ x.numpy().T + bias).T)

    return run


def measured(layer: nn.Linear, inputs: torch.Tensor, seconds: float) -> dict[str, Any]:
    """One layer and one batch: microseconds of everybody, and how many times ours each takes."""
    network = of_module(layer, inputs)
    runs: dict[str, Run] = {name: build(network, name, 1) for name in (OURS, *PEERS[1:])}
    runs["scipy"] = scipys(layer)
    with torch.inference_mode():
        weight, bias = layer.weight.double(), layer.bias.double()
        exact = inputs.double() @ weight.T + bias
        for run in runs.values():
            torch.testing.assert_close(run(inputs).double(), exact, rtol=1e-4, atol=1e-4)
    with threads(1):
        times = interleaved(runs, inputs, seconds)
    return {
        "microseconds": {name: deploy.summary(times[name]) for name in runs},
        "times_ours": {peer: round(speedup(times[OURS], times[peer]), 3) for peer in PEERS},
    }


def main() -> None:
    """Measure all layers, and write what came out."""
    torch.set_num_threads(1)
    cells = []
    for title, sparsity, layer, inputs in deploy.cases("layers"):
        assert isinstance(layer, nn.Linear)
        for batch in deploy.BATCHES["layers"]:
            print(f"{title}, {sparsity:.0%}, batch {batch}", flush=True)
            found = measured(layer.eval(), inputs[:batch], SECONDS)
            cells.append({"layer": title, "sparsity": sparsity, "batch": batch, **found})
    what = "microseconds by the clock, one thread"
    runfolder.write_json(RESULT, {"what": what, "cells": cells, **here()})
    print(table(runfolder.read_json(RESULT)))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown: ours in microseconds, peers in times ours."""
    head = ("layer", "sparsity", "batch", "ours, us", "scipy CSR", "torch CSR", "torch dense")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for cell in results["cells"]:
        times = [f"{cell['times_ours'][peer]:.2f}x" for peer in PEERS]
        row = [cell["layer"], f"{cell['sparsity']:.0%}", str(cell["batch"]),
               f"{cell['microseconds'][OURS]['median']:.0f}", *times]  # fmt: skip
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
