"""How long does it take to compile a plan for a big network?

    python -m benchmarks.plans

Decoders without memory for weights (torch's ``meta`` device), one of them a mixture of experts of
ten thousand layers; a ramp to 90 % with one global threshold, of 51 events in ten thousand steps or
501 in a million. No peer plans, so the baseline is building the network itself. One thread; times
are CPU time of this process, memory is by how much its peak grew. Results go to
benchmarks/results/plans.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.measured import RESULTS, Prepared, here, in_turns, shown, spread
from benchmarks.scale_events import spent
from pruneflow import runfolder
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.timeline import Horizon

RESULT = RESULTS / "plans.json"
TURNS = 3
PRUNE = {"type": "prune", "start": "10%", "end": "60%", "sparsity": 0.9}


def decoder(blocks: int, width: int, inner: int, experts: int = 1) -> nn.Module:
    """The linear layers of a decoder: four of attention, and three of each expert, a block."""

    def block() -> nn.Module:
        shapes = [(width, width)] * 4
        shapes += [(width, inner), (width, inner), (inner, width)] * experts
        return nn.ModuleList(nn.Linear(*shape, bias=False) for shape in shapes)

    with torch.device("meta"):
        return nn.ModuleList(block() for _ in range(blocks))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "22 blocks of width 2048": lambda: decoder(22, 2048, 5632),
    "32 blocks of width 4096": lambda: decoder(32, 4096, 11008),
    "80 blocks of width 8192": lambda: decoder(80, 8192, 28672),
    "26 blocks of 128 experts": lambda: decoder(26, 4096, 1536, experts=128),
}
SHORT, LONG = 10_000, 1_000_000
CASES = [*((name, SHORT) for name in NETWORKS), *((name, LONG) for name in list(NETWORKS)[:3])]


def sides(make: Callable[[], nn.Module], steps: int) -> dict[str, Prepared]:
    """Building the network, and compiling its plan for a run of so many steps."""
    every = "100st" if steps == SHORT else "1000st"
    recipe = schema.build({"modifiers": {"prune": {**PRUNE, "every": every}}})
    horizon, model = Horizon(1000, steps), make()
    return {"build": lambda: make, "compile": lambda: lambda: compile_for(recipe, model, horizon)}


def measured(network: str, steps: int, turns: int) -> dict[str, Any]:
    """One network and one length of run."""
    print(f"{network}: {steps:,} steps", flush=True)
    make = NETWORKS[network]
    cases = sides(make, steps)
    times = {name: spread(each) for name, each in in_turns(cases, turns).items()}
    _, grown, plan = spent(cases["compile"]())
    weights = [weight.numel() for weight in make().parameters()]
    return {
        "network": network, "parameters": sum(weights), "layers": len(weights), "steps": steps,
        "events": len(plan.events), "seconds": times, "bytes": grown,
    }  # fmt: skip


def main() -> None:
    """Measure, and write what came out."""
    torch.set_num_threads(1)
    cells = [measured(*case, TURNS) for case in CASES]
    runfolder.write_json(RESULT, {"what": "CPU seconds; bytes", "cells": cells, **here()})
    print(table(runfolder.read_json(RESULT)))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    head = ("network", "parameters", "layers", "steps", "events", "plan, s", "network, s", "MB")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for cell in results["cells"]:
        counts = [f"{cell[key]:,}" for key in ("parameters", "layers", "steps", "events")]
        times = [shown(cell["seconds"][key]) for key in ("compile", "build")]
        row = [cell["network"], *counts, *times, f"{cell['bytes'] / 1e6:.0f}"]
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
