"""Curves of accuracy against sparsity, made of a sweep's jobs: one for each thing it compares."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from pruneflow import plain_yaml

Job = Mapping[str, Any]
"""``result``: what ``result.json`` holds, or None; ``overrides``: what its command line said."""

DENSE = "dense_equal_epochs"

_ALONG = ("seed", "sparsity", "recipe.sparsity", "recipe", "control", "recipe.control")
_OF_NO_MATTER = (
    "hydra", "ckpt_path", "fresh", "share", "budget", "imports", "logger", "checkpoint",
    "data.root", "trainer.threads",
)  # fmt: skip


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

    A dense control has no sparsity of its own. It stands at those of the jobs, alike but for the
    control, whose training was as long; and once a seed, for as long is the same network.
    """
    told = [job for job in jobs if job["result"] and job["result"]["accuracy"]["final"] is not None]
    alike: dict[str, list[Mapping[str, Any]]] = {}
    named: dict[str, list[Mapping[str, Any]]] = {}
    groups = {}
    for job, settings in zip(told, told_apart(told), strict=True):
        name = _name(job["result"], settings)
        named.setdefault(name, []).append(job["result"])
        groups[name] = alike.setdefault(",".join(settings), [])
        groups[name].append(job["result"])
    return [_curve(name, mine, groups[name]) for name, mine in named.items()]


def overrides(folder: Path) -> list[str]:
    """What the command line said of the run in a folder, as Hydra keeps it."""
    try:
        found = plain_yaml.read(folder / ".hydra" / "overrides.yaml")
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [str(word) for word in found] if isinstance(found, list) else []


def told_apart(jobs: Sequence[Job], but: Collection[str] = ()) -> list[list[str]]:
    """For each job, as ``key=value``, what not all set alike but seed, sparsity and recipe.

    Args:
        jobs: Of a sweep, or of several.
        but: Further keys to leave out.
    """
    settings = [{k: v for k, v in _settings(job) if k not in but} for job in jobs]
    keys = dict.fromkeys(key for mine in settings for key in mine)
    varied = [key for key in keys if len({mine.get(key) for mine in settings}) > 1]
    return [
        [f"{key.rpartition('.')[2]}={mine[key]}" for key in varied if key in mine]
        for mine in settings
    ]


def _curve(
    name: str, mine: Sequence[Mapping[str, Any]], results: Sequence[Mapping[str, Any]]
) -> Curve:
    scores: dict[float, dict[Any, float]] = {}
    for number, result in enumerate(mine):
        which = ("seed", result["seed"]) if _control(result) == DENSE else number
        for sparsity in _places(result, results):
            scores.setdefault(sparsity, {})[which] = result["accuracy"]["final"]
    before = [r["accuracy"]["dense"] for r in mine if r["accuracy"]["dense"] is not None]
    return Curve(
        name,
        tuple(Point(at, tuple(sorted(found.values()))) for at, found in sorted(scores.items())),
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


def kind(recipe: str, control: str) -> str:
    """A recipe, and which control of it, so that none is taken for the other."""
    return recipe if control == "none" else f"{recipe}, {control}"


def _name(result: Mapping[str, Any], settings: Sequence[str]) -> str:
    return ", ".join([kind(result["recipe"], _control(result)), *settings])


def _settings(job: Job) -> Iterator[tuple[str, str]]:
    for override in job.get("overrides", ()):
        key, _, value = override.lstrip("+").partition("=")
        if key not in _ALONG and not key.startswith(_OF_NO_MATTER):
            yield key, value
