"""What does one pruning event cost, beside torch's own pruning and Lightning's ModelPruning?

    python -m benchmarks.events

A network that is pruned to 50 % already is pruned to 80 % (2:4: for the first time), by magnitude.
Ours is the whole event: chosen, masked, counted, hashed, journaled, exactly as many zeros as asked
for. Peers do what they do in one call of ``torch.nn.utils.prune`` (globally, or layer by layer),
of ``ModelPruning.apply_pruning``, and of ``torch.ao.pruning``'s sparsifier (2:4 of linear layers).
All take turns in one process on one thread, made ready anew for each turn; times are its CPU time.
How events scale, in time and memory, is ``benchmarks.scale``'s. Results go to
benchmarks/results/events.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.utils.prune as torch_prune
from pytorch_lightning.callbacks import ModelPruning
from torch import nn
from torch.ao.pruning import WeightNormSparsifier

from benchmarks.measured import RESULTS, Prepared, here, in_turns, shown, spread
from pruneflow import runfolder
from pruneflow.engine import Engine
from pruneflow.recipe import schema
from pruneflow.recipe.compiler import compile_for
from pruneflow.timeline import Horizon
from pruneflow.zoo.models import LeNet300100, ResNet20

RESULT = RESULTS / "events.json"
TURNS = 5
BEFORE, AFTER = 0.5, 0.8
PLAIN = {"name": "sgd", "lr": 0.1}


def perceptron() -> nn.Module:
    """Some ten million weights."""
    sizes = [(784, 2048), (2048, 2048), (2048, 2048), (2048, 10)]
    return nn.Sequential(*(nn.Linear(*size) for size in sizes))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "LeNet-300-100": lambda: LeNet300100(PLAIN),
    "ResNet-20": lambda: ResNet20(PLAIN),
    "MLP": perceptron,
}


def ours(make: Callable[[], nn.Module], settings: Mapping[str, Any]) -> Prepared:
    """An event of the engine, as a training fires it.

    Args:
        make: Builds the network.
        settings: Of the word ``prune``, in place of a ramp from ``BEFORE`` to ``AFTER``.
    """
    ramp = {"start": "1st", "end": "2st", "every": "1st", "schedule": "linear",
            "initial_sparsity": BEFORE, "sparsity": AFTER}  # fmt: skip
    once = {"start": "2st"}
    words = {"type": "prune", **(once if "granularity" in settings else ramp), **settings}
    recipe = schema.build({"modifiers": {"prune": words}})

    def prepared() -> Callable[[], Any]:
        torch.manual_seed(0)
        model = make()
        engine = Engine(compile_for(recipe, model, Horizon(1, 2)), model, ())
        engine.advance(0)
        engine.advance(1)
        return lambda: engine.advance(2)

    return prepared


def of_torch(make: Callable[[], nn.Module], is_global: bool) -> Prepared:
    """``torch.nn.utils.prune``, which is told the share of what is left."""
    return _twice(make, lambda pairs: lambda amount: _pruned(pairs, amount, is_global))


def of_lightning(make: Callable[[], nn.Module], is_global: bool) -> Prepared:
    """``ModelPruning`` as its hooks call it, without the rewinding that is its default."""

    def begin(pairs: list[tuple[nn.Module, str]]) -> Callable[[float], Any]:
        callback = ModelPruning(
            "l1_unstructured", pairs, amount=AFTER, use_global_unstructured=is_global,
            use_lottery_ticket_hypothesis=False,
        )  # fmt: skip
        return callback.apply_pruning

    return _twice(make, begin)


def _twice(
    make: Callable[[], nn.Module], begin: Callable[[Any], Callable[[float], Any]]
) -> Prepared:
    def prepared() -> Callable[[], Any]:
        torch.manual_seed(0)
        prune = begin([(layer, "weight") for layer in layers_of(make())])
        prune(BEFORE)
        return lambda: prune((AFTER - BEFORE) / (1 - BEFORE))

    return prepared


def _pruned(pairs: list[tuple[nn.Module, str]], amount: float, is_global: bool) -> None:
    if is_global:
        torch_prune.global_unstructured(pairs, torch_prune.L1Unstructured, amount=amount)
    else:
        for layer, name in pairs:
            torch_prune.l1_unstructured(layer, name, amount)


def of_sparsifier(make: Callable[[], nn.Module]) -> Prepared:
    """2:4 by ``torch.ao.pruning``, which zeroes two of four by their norm."""

    def prepared() -> Callable[[], Any]:
        torch.manual_seed(0)
        model = make()
        sparsifier = WeightNormSparsifier(1.0, (1, 4), 2)
        named = {id(layer): name for name, layer in model.named_modules()}
        names = [named[id(layer)] for layer in layers_of(model)]
        sparsifier.prepare(model, [{"tensor_fqn": f"{name}.weight"} for name in names])
        return sparsifier.step

    return prepared


def layers_of(model: nn.Module) -> list[Any]:
    """What is pruned: linear layers and convolutions."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]


def sides(make: Callable[[], nn.Module]) -> dict[str, dict[str, Prepared]]:
    """Each kind of event, by us and by all peers that know it."""
    cases: dict[str, dict[str, Prepared]] = {
        kind: {
            "PruneFlow": ours(make, {"allocation": kind}),
            "torch.nn.utils.prune": of_torch(make, kind == "global"),
            "ModelPruning": of_lightning(make, kind == "global"),
        }
        for kind in ("global", "uniform")
    }
    if all(isinstance(layer, nn.Linear) for layer in layers_of(make())):  # the peer's blocks
        cases["2:4"] = {
            "PruneFlow": ours(make, {"granularity": "2:4"}),
            "torch.ao.pruning": of_sparsifier(make),
        }
    return cases


def measured(networks: Mapping[str, Callable[[], nn.Module]], turns: int) -> list[dict[str, Any]]:
    """Every kind of event of every network."""
    found = []
    for network, make in networks.items():
        weights = sum(layer.weight.numel() for layer in layers_of(make()))
        for kind, cases in sides(make).items():
            print(f"{network}: {kind}", flush=True)
            times = {name: spread(each) for name, each in in_turns(cases, turns).items()}
            found.append({"network": network, "weights": weights, "kind": kind, "seconds": times})
    return found


def main() -> None:
    """Measure, and write what came out."""
    torch.set_num_threads(1)
    cells = measured(NETWORKS, TURNS)
    what = "CPU seconds of one pruning event"
    runfolder.write_json(RESULT, {"what": what, "turns": TURNS, "cells": cells, **here()})
    print(table(runfolder.read_json(RESULT)))


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown: milliseconds, and how many times ours each peer takes."""
    rows = ["| network | weights | event | ours, ms | peer | its, ms | times ours |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for cell in results["cells"]:
        mine = cell["seconds"]["PruneFlow"]
        for peer in [name for name in cell["seconds"] if name != "PruneFlow"]:
            its = cell["seconds"][peer]
            rows.append(
                f"| {cell['network']} | {cell['weights']:,} | {cell['kind']} | "
                f"{shown(mine, 1e-3)} | {peer} | {shown(its, 1e-3)} | "
                f"{its['median'] / mine['median']:.1f} |"
            )
    return "\n".join(rows)


if __name__ == "__main__":
    main()
