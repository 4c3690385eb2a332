"""What runs a network, and why, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pruneflow.deploy.engines import kind_of
from pruneflow.deploy.measure.crossover import Crossover
from pruneflow.deploy.measure.grid import MARGIN, Outcome
from pruneflow.deploy.measure.timing import speedup

LITTLE = 0.01
"""Sparsity below which a gain is not that of zeros left out."""


def verdict(
    outcomes: Sequence[Outcome],
    asked: str | None,
    crossovers: Sequence[Crossover],
    absent: Mapping[str, str],
    sparsity: float,
) -> dict[str, Any]:
    """What runs, and why.

    Args:
        outcomes: Of every cell.
        asked: The backend that was asked for, if one was.
        crossovers: Where dense runs: from which sparsity on sparse would.
        absent: Why engines were not timed, by name.
        sparsity: Of the weights.
    """
    kinds = {kind_of(outcome.cell.backend) for outcome in outcomes}
    sparse = [o for o in outcomes if kind_of(o.cell.backend) == "sparse"]
    if asked is not None:
        why = f"'{asked}' was asked for; {_compared(outcomes[0])}"
    elif not sparse:
        why = _why_dense(outcomes, absent)
    else:
        why = _why_sparse(outcomes, sparse)
        if sparsity < LITTLE:
            why += (
                "; hardly any weight is zero: it wins by a cheaper call, not by what it leaves out"
            )
    runs = kinds.pop() if len(kinds) == 1 else "mixed"
    known = [crossover.to_json() for crossover in crossovers]
    return {"runs": runs, "why": why, "wins_from": known or None}


def _why_sparse(outcomes: Sequence[Outcome], sparse: Sequence[Outcome]) -> str:
    best = max(sparse, key=lambda outcome: outcome.speedup)
    if len(sparse) == len(outcomes):
        return "; ".join(dict.fromkeys([_compared(outcomes[0]), _compared(best)]))
    dense = [outcome for outcome in outcomes if outcome not in sparse]
    return f"sparse runs at {_places(sparse)}, dense at {_places(dense)}: {_compared(best)}"


def _why_dense(outcomes: Sequence[Outcome], absent: Mapping[str, str]) -> str:
    nearest = max(outcomes, key=_nearest)
    if not _nearest(nearest):
        missing = [f"'{name}': {why}" for name, why in absent.items() if kind_of(name) == "sparse"]
        if not missing:
            return "no sparse engine was tried"
        return f"no sparse engine can run here: {'; '.join(missing)}"
    return (
        f"no sparse engine is {MARGIN - 1:.0%} faster than dense: the nearest is "
        f"{_nearest(nearest):.2f} times as fast as '{nearest.best_dense}' at {_place(nearest)}"
    )


def _nearest(outcome: Outcome) -> float:
    """The best speed-up of a sparse engine in a cell; 0 where there is none."""
    dense = outcome.times[outcome.best_dense]
    sparse = [times for name, times in outcome.times.items() if kind_of(name) == "sparse"]
    return max((speedup(times, dense) for times in sparse), default=0.0)


def _compared(outcome: Outcome) -> str:
    chosen, dense = outcome.cell.backend, outcome.best_dense
    if chosen == dense:
        return f"'{dense}' is the fastest dense engine at {_place(outcome)}"
    return (
        f"'{chosen}' is {outcome.speedup:.2f} times as fast as '{dense}', the fastest dense "
        f"engine, at {_place(outcome)}"
    )


def _place(outcome: Outcome) -> str:
    return _at(outcome.cell.batch, outcome.cell.threads)


def _at(batch: int, threads: int) -> str:
    return f"batch {batch}" + (f", {threads} threads" if threads > 1 else "")


def _places(outcomes: Sequence[Outcome]) -> str:
    """Several cells in a few words: ``batch 1 and 16``; threads are named where they are more."""
    batches: dict[int, list[str]] = {}
    for outcome in outcomes:
        batches.setdefault(outcome.cell.threads, []).append(str(outcome.cell.batch))
    return "; ".join(
        f"batch {' and '.join(sizes)}" + (f" with {threads} threads" if threads > 1 else "")
        for threads, sizes in batches.items()
    )
