"""Every engine that can run a network here, checked before it is timed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from pruneflow.deploy import engines
from pruneflow.deploy.backends.base import BACKENDS, Run
from pruneflow.deploy.measure.gate import Reference, Verdict
from pruneflow.deploy.measure.timing import threads as using_threads
from pruneflow.deploy.network import Network
from pruneflow.errors import DeployError

Tell = Callable[[str], None]


@dataclass
class Candidates:
    """Engines for one number of threads.

    Attributes:
        threads: How many they may use.
        runs: Those that passed.
        verdicts: What the gate said, by engine.
        absent: Why others are not among them.
    """

    threads: int
    runs: dict[str, Run] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, run: Run, reference: Reference, batches: tuple[int, ...]) -> None:
        """Check an engine at every size of batch, and keep it if it is right."""
        for batch in batches:
            verdict = reference.judge(lambda x: run(x.clone()), batch)
            self.verdicts[name] = worse(self.verdicts.get(name, verdict), verdict)
            if not verdict.passed:
                self.absent[name] = f"wrong results at batch {batch}: {_shown(verdict)}"
                return
        self.runs[name] = run


def worse(one: Verdict, other: Verdict) -> Verdict:
    """The one that speaks against an engine, or else that which came nearer to its bound."""
    if one.passed != other.passed:
        return other if one.passed else one
    return one if one.share >= other.share else other


def _shown(verdict: Verdict) -> str:
    if not isfinite(verdict.error):
        return "not the shape of the network's outputs, or no finite numbers"
    return f"off by {verdict.error:.2g}, where rounding accounts for {verdict.bound:.2g}"


def gather(
    network: Network,
    names: tuple[str, ...],
    reference: Reference,
    batches: tuple[int, ...],
    threads: int,
    tell: Tell,
) -> Candidates:
    """Build and check every engine.

    Args:
        network: What to run.
        names: Backends to try.
        reference: The right outputs.
        batches: Sizes of batches they will be timed with.
        threads: How many threads they may use.
        tell: Is told what goes on.
    """
    found = Candidates(threads)
    with using_threads(threads):
        for name in names:
            try:
                if why := engines.hindrance(network, name):
                    found.absent[name] = why
                    continue
                tell(f"preparing {name}, {threads} thread{'s' * (threads > 1)}")
                found.add(name, engines.build(network, name, threads), reference, batches)
            except Exception as error:  # an engine's own failure is a finding, not ours
                found.absent[name] = failure(error)
    return found


def failure(error: Exception) -> str:
    """What went wrong in an engine, in one line."""
    first = next(iter(str(error).splitlines()), "")
    return first if isinstance(error, DeployError) else f"failed: {type(error).__name__}: {first}"


def exclude_failed(found: list[Candidates]) -> None:
    """Leave out everywhere what failed with one of the numbers of threads."""
    failed = absent(found)
    for one in found:
        one.runs = {name: run for name, run in one.runs.items() if name not in failed}
        one.absent = failed | one.absent


def worst_verdicts(found: list[Candidates]) -> dict[str, Verdict]:
    """The worst that was said of every engine."""
    worst: dict[str, Verdict] = {}
    for one in found:
        for name, verdict in one.verdicts.items():
            worst[name] = worse(worst.get(name, verdict), verdict)
    return worst


def absent(found: list[Candidates]) -> dict[str, str]:
    """Why engines were not timed, by name."""
    return {name: why for one in found for name, why in one.absent.items()}


def describe(found: list[Candidates], timed: Collection[str]) -> dict[str, dict[str, Any]]:
    """Engines by name: their kind, and their version or why they are missing.

    Args:
        found: Those that were looked for.
        timed: Names of those that were timed, at least once.
    """
    described: dict[str, dict[str, Any]] = {
        name: {"kind": engines.kind_of(name), "missing": why} for name, why in absent(found).items()
    }
    for name in timed:
        described[name] = {"kind": engines.kind_of(name)}
        if name in BACKENDS:
            described[name]["version"] = BACKENDS[name].version()
    return described
