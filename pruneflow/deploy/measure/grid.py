"""Time all candidates at every number of threads and size of batch, and name the winners."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from pruneflow.deploy import engines
from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.choice import Cell
from pruneflow.deploy.engines import BY_LAYER
from pruneflow.deploy.measure.candidates import Candidates, Tell, failure, worst_verdicts
from pruneflow.deploy.measure.gate import Reference, reference
from pruneflow.deploy.measure.timing import Times, interleaved, speedup
from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.network import Layer, Network, of_graph
from pruneflow.deploy.place import Device

MARGIN = 1.05
"""Sparse runs where it is so many times as fast as the best dense engine."""

DOUBTFUL = 1.25
"""A smaller win has to show again, in a round of its own between the two."""

LAYER_SHARE = 0.25
"""Of a cell's seconds, for each layer by itself."""

SAMPLES = 64


@dataclass(frozen=True)
class Outcome:
    """What was found at one number of threads and size of batch.

    Attributes:
        times: Of every engine.
        best_dense: The fastest dense engine.
        cell: What runs there.
        layer_times: Of every layer, by backend, in microseconds.
        device: Where it ran.
    """

    times: Mapping[str, Times]
    best_dense: str
    cell: Cell
    layer_times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    device: Device = "cpu"

    @property
    def speedup(self) -> float:
        """How many times faster than the best dense engine the chosen one is."""
        return _speedup(self.times, self.cell.backend, self.best_dense)

    def to_json(self) -> dict[str, Any]:
        """As plain data; times in microseconds."""
        return {
            "batch": self.cell.batch,
            "threads": self.cell.threads,
            "device": self.device,
            "best_dense": self.best_dense,
            "chosen": self.cell.backend,
            "speedup": round(self.speedup, 3),
            "engines": {name: _times(name, times) for name, times in self.times.items()},
        }


def measure(
    network: Network,
    candidates: Candidates,
    right: Reference,
    batch: int,
    seconds: float,
    fixed: str | None,
    tell: Tell,
) -> Outcome:
    """Time one cell: the layers by themselves, then the whole network.

    Args:
        network: What is run.
        candidates: The engines, checked.
        right: Holds inputs, and checks the engine made of the layers' winners.
        batch: Samples in a call.
        seconds: For the whole network.
        fixed: The backend that runs whatever is found.
        tell: Is told what goes on.
    """
    threads = candidates.threads
    tell(f"timing batch {batch}, {threads} thread{'s' * (threads > 1)}")
    x = network.place.put(right.inputs[:batch].contiguous())
    with using_threads(threads):
        by_layer = {
            layer.name: layer_times(network, layer, candidates, batch, seconds * LAYER_SHARE)
            for layer in network.layers
        }
        winners = {
            name: min(times, key=lambda n: times[n]) for name, times in by_layer.items() if times
        }
        runs = dict(candidates.runs)
        if _is_mixed(winners):
            runs |= _mixed(network, winners, candidates, right, batch)
        times = interleaved(runs, x, seconds)
        best_dense = _fastest(times, "dense")
        chosen = fixed or _choose(times, best_dense)
        if not fixed and chosen != best_dense and _speedup(times, chosen, best_dense) < DOUBTFUL:
            pair = {name: runs[name] for name in (chosen, best_dense)}
            times = {**times, **interleaved(pair, x, seconds)}
            chosen = chosen if _speedup(times, chosen, best_dense) >= MARGIN else best_dense
    layers = winners if chosen == BY_LAYER else {}
    cell = Cell(threads, batch, chosen, layers)
    return Outcome(times, best_dense, cell, by_layer, network.place.device)


def layer_times(
    network: Network, layer: Layer, candidates: Candidates, batch: int, seconds: float
) -> dict[str, float]:
    """Microseconds of a layer by itself, by backend; of those that compute it right."""
    tensors = network.layer_tensors(layer)
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch * layer.rows, *layer.input_shape, generator=generator)
    right = reference(of_graph(layer.graph, tensors).on(network.place), x)
    runs = {}
    for name in candidates.runs:
        backend = BACKENDS[name]
        with suppress(Exception):  # it runs the whole network and not this layer: never mind
            if backend.takes_layers and not backend.refuses(layer.graph):
                run = engines.build_layer(network, layer, name, candidates.threads)
                if right.judge(run, len(x)).passed:
                    runs[name] = run
    x = network.place.put(x)
    return {name: times.median for name, times in interleaved(runs, x, seconds).items()}


def _mixed(
    network: Network, winners: Mapping[str, str], candidates: Candidates, right: Reference,
    batch: int,
) -> dict[str, Run]:  # fmt: skip
    """The engine made of the layers' winners, if it is right."""
    mixed = Candidates(candidates.threads)
    try:
        run = engines.by_layer(network, winners, candidates.threads)
        mixed.add(BY_LAYER, run, right, (batch,))
    except Exception as error:  # as in candidates.gather
        mixed.absent[BY_LAYER] = failure(error)
    if mixed.runs:  # it is another engine in each cell: a wrong one speaks for itself alone
        candidates.verdicts |= worst_verdicts([candidates, mixed])
    candidates.absent |= mixed.absent
    return mixed.runs


def _choose(times: Mapping[str, Times], best_dense: str) -> str:
    sparse = engines.of_kind(times, "sparse")
    best = min(sparse, key=lambda name: times[name].median, default=None)
    if best is not None and _speedup(times, best, best_dense) >= MARGIN:
        return best
    return best_dense


def _speedup(times: Mapping[str, Times], name: str, baseline: str) -> float:
    return speedup(times[name], times[baseline])


def _fastest(times: Mapping[str, Times], kind: str) -> str:
    return min(engines.of_kind(times, kind), key=lambda name: times[name].median)


def _is_mixed(winners: Mapping[str, str]) -> bool:
    """Whether an engine made of the layers' winners is not one of the others already."""
    kinds = set(winners.values())
    return len(kinds) > 1 and any(engines.kind_of(name) == "sparse" for name in kinds)


def _times(name: str, times: Times) -> dict[str, Any]:
    step = -(-len(times.warm) // SAMPLES)
    return {
        "kind": engines.kind_of(name),
        "cold": round(times.cold, 2),
        "median": round(times.median, 2),
        "low": round(times.quantile(0.1), 2),
        "high": round(times.quantile(0.9), 2),
        "samples": [round(sample, 2) for sample in times.warm[::step]],
    }
