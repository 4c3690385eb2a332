"""Every engine checked, every cell timed: what a machine has to say about a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from pruneflow.deploy import engines
from pruneflow.deploy.measure import candidates as gathering
from pruneflow.deploy.measure.candidates import Candidates, Tell
from pruneflow.deploy.measure.crossover import Crossover, crossovers
from pruneflow.deploy.measure.gate import Reference
from pruneflow.deploy.measure.grid import Outcome, measure
from pruneflow.deploy.network import Network
from pruneflow.deploy.settings import Settings
from pruneflow.deploy.verdict import verdict
from pruneflow.errors import DeployError


@dataclass(frozen=True)
class Trials:
    """What was found out.

    Attributes:
        found: The engines, checked, by number of threads.
        outcomes: Of every cell.
        verdict: What runs, and why.
        kernels: What was compiled ahead of time, a row for each launch.
        extra: Further keys of the report.
    """

    found: list[Candidates]
    outcomes: list[Outcome]
    verdict: dict[str, Any]
    kernels: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def measured(network: Network, settings: Settings, right: Reference, tell: Tell) -> Trials:
    """Check and time every engine that is wanted.

    Raises:
        DeployError: The one that was asked for, or every dense one, cannot run the network.
    """
    found = _gather(network, settings, right, tell)
    outcomes = [
        measure(network, candidates, right, batch, settings.seconds, settings.asked, tell)
        for candidates in found
        for batch in settings.batches
    ]
    later: list[Crossover] = []
    if settings.asked is None:
        later = crossovers(network, found, outcomes, right.inputs)
    absent = gathering.absent(found)
    why = verdict(outcomes, settings.asked, later, absent, network.sparsity)
    return Trials(found, outcomes, why)


def _gather(network: Network, settings: Settings, right: Reference, tell: Tell) -> list[Candidates]:
    names = engines.candidates(settings.candidates, settings.asked, settings.device)
    counts = settings.threads or tuple(sorted({1, torch.get_num_threads()}))
    counts = (1,) if settings.place.is_gpu else counts
    found = [
        gathering.gather(network, names, right, settings.batches, count, tell) for count in counts
    ]
    gathering.exclude_failed(found)
    for candidates in found:
        if settings.asked in candidates.absent:
            raise DeployError(
                f"deploy.backend={settings.asked}: {candidates.absent[settings.asked]}"
            )
        if not engines.of_kind(candidates.runs, "dense"):
            reasons = "; ".join(f"'{name}': {why}" for name, why in candidates.absent.items())
            raise DeployError(f"no dense engine computes this network: {reasons}")
    return found
