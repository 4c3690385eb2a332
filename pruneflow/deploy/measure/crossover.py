"""From which sparsity on a network would be faster than dense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pruneflow.deploy import engines
from pruneflow.deploy.backends.base import Run
from pruneflow.deploy.measure.candidates import Candidates
from pruneflow.deploy.measure.grid import MARGIN, Outcome
from pruneflow.deploy.measure.timing import interleaved, speedup
from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.network import Network
from pruneflow.errors import DeployError

PROBES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
SECONDS = 0.2
ROUNDS = 2
"""A win has to show so many times."""


@dataclass(frozen=True)
class Crossover:
    """From where on sparse would run a cell in which dense does.

    Attributes:
        batch: Samples in a call.
        threads: Threads it may use.
        sparsity: The least of those tried that wins; None: none of them.
    """

    batch: int
    threads: int
    sparsity: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"sparsity": self.sparsity, "batch": self.batch, "threads": self.threads}


def wins_from(
    network: Network, backend: str, dense: Run, x: torch.Tensor, threads: int
) -> float | None:
    """The least sparsity, of those tried, at which a sparse backend beats dense by the margin.

    Every layer's smallest weights are pruned further, to the same sparsity in each.

    Args:
        network: As it is.
        backend: The sparse backend.
        dense: The best dense engine; its time does not depend on zeros.
        x: A batch of inputs.
        threads: How many threads may be used.
    """
    with using_threads(threads):
        for sparsity, sparser in _sparser(network):
            try:
                runs = {"sparse": engines.build(sparser, backend, threads), "dense": dense}
            except DeployError:  # what is pruned further no longer has the pattern it wants
                continue
            if all(_wins(runs, x) for _ in range(ROUNDS)):
                return sparsity
    return None


def crossovers(
    network: Network, found: list[Candidates], outcomes: list[Outcome], inputs: torch.Tensor
) -> list[Crossover]:
    """Of every cell in which dense runs though sparse engines could.

    Args:
        network: As it is.
        found: The engines, by number of threads.
        outcomes: Of all cells.
        inputs: At least as many as the largest batch.
    """
    runs = {candidates.threads: candidates.runs for candidates in found}
    answers = []
    for outcome in outcomes:
        cell = outcome.cell
        sparse = [n for n in engines.of_kind(outcome.times, "sparse") if n != engines.BY_LAYER]
        if sparse and engines.kind_of(cell.backend) == "dense":
            nearest = min(sparse, key=lambda name: outcome.times[name].median)
            dense = runs[cell.threads][outcome.best_dense]
            x = network.place.put(inputs[: cell.batch])
            least = wins_from(network, nearest, dense, x, cell.threads)
            answers.append(Crossover(cell.batch, cell.threads, least))
    return answers


def _wins(runs: Mapping[str, Run], x: torch.Tensor) -> bool:
    times = interleaved(runs, x, SECONDS)
    return speedup(times["sparse"], times["dense"]) >= MARGIN


def _sparser(network: Network) -> Iterator[tuple[float, Network]]:
    """The network with more and more of its smallest weights gone."""
    orders = {name: network.tensors[name].abs().reshape(-1).argsort() for name in network.weights}
    for sparsity in PROBES if orders else ():
        if sparsity > network.sparsity:
            pruned = {
                name: _pruned(network.tensors[name], order, sparsity)
                for name, order in orders.items()
            }
            yield sparsity, network.with_tensors({**network.tensors, **pruned})


def _pruned(weight: torch.Tensor, order: torch.Tensor, sparsity: float) -> torch.Tensor:
    pruned = weight.clone()
    pruned.view(-1)[order[: round(sparsity * weight.numel())]] = 0
    return pruned
