"""Curves of accuracy against sparsity, made of a sweep's jobs: one for each thing it compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Job = Mapping[str, Any]
"""``result``: what ``result.json`` holds, or None; ``overrides``: what its command line said."""

DENSE = "dense_equal_epochs"

_ALONG = ("seed", "sparsity", "recipe.sparsity", "recipe", "control", "recipe.control")
_OF_NO_MATTER = ("hydra", "hydra/", "ckpt_path", "fresh", "imports", "logger", "checkpoint")


@dataclass(frozen=True)
class Point:
    """Jobs that differ in their seed alone.

    Attributes:
        sparsity: Share of the prunable weights that is zero.
        scores: Test accuracy of each, from the least to the greatest.
    """

    sparsity: float
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the scores."""
        return fmean(self.scores)


@dataclass(frozen=True)
class Curve:
    """Jobs that are to be compared as one.

    Attributes:
        name: What tells them from the others.
        points: By sparsity.
        before: Mean accuracy right before the first pruning, or None where nobody measured it.
        is_dense: Whether they are dense networks, trained as long as the pruned ones.
    """

    name: str
    points: tuple[Point, ...]
    before: float | None
    is_dense: bool


def curves(jobs: Sequence[Job]) -> list[Curve]:
    """A curve for each recipe, control, or whatever else a sweep varied but seed and sparsity.

    A dense control has no sparsity of its own. It stands at those of the jobs whose training was
    as long.
    """
    told = [job for job in jobs if job["result"] and job["result"]["accuracy"]["final"] is not None]
    varied = _varied(told)
    named: dict[str, list[Mapping[str, Any]]] = {}
    for job in told:
        named.setdefault(_name(job, varied), []).append(job["result"])
    results = [job["result"] for job in told]
    return [_curve(name, mine, results) for name, mine in named.items()]


def _curve(
    name: str, mine: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> Curve:
    scores: dict[float, list[float]] = {}
    for result in mine:
        for sparsity in _places(result, results):
            scores.setdefault(sparsity, []).append(result["accuracy"]["final"])
    before = [r["accuracy"]["dense"] for r in mine if r["accuracy"]["dense"] is not None]
    return Curve(
        name,
        tuple(Point(at, tuple(sorted(found))) for at, found in sorted(scores.items())),
        fmean(before) if before else None,
        all(_control(result) == DENSE for result in mine),
    )


def _places(result: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> set[float]:
    """The sparsities at which a result stands."""
    if _control(result) == DENSE:
        others = (r for r in results if _control(r) != DENSE and r["recipe"] == result["recipe"])
        if beside := {_rounded(r["sparsity"]) for r in others if r["steps"] == result["steps"]}:
            return beside
    return {_rounded(result["sparsity"])}


def _rounded(sparsity: float) -> float:
    return round(sparsity, 4)


def _control(result: Mapping[str, Any]) -> str:
    return str(result.get("control", "none"))


def _name(job: Job, varied: Sequence[str]) -> str:
    result, control = job["result"], _control(job["result"])
    settings = dict(_settings(job))
    extra = [f"{key.rpartition('.')[2]}={settings[key]}" for key in varied if key in settings]
    return ", ".join([result["recipe"], *([] if control == "none" else [control]), *extra])


def _varied(jobs: Sequence[Job]) -> list[str]:
    """The keys, other than seed, sparsity and recipe, that not all jobs set alike."""
    settings = [dict(_settings(job)) for job in jobs]
    keys = dict.fromkeys(key for mine in settings for key in mine)
    return [key for key in keys if len({mine.get(key) for mine in settings}) > 1]


def _settings(job: Job) -> Iterator[tuple[str, str]]:
    for override in job.get("overrides", ()):
        key, _, value = override.lstrip("+").partition("=")
        if key not in _ALONG and not key.startswith(_OF_NO_MATTER):
            yield key, value
