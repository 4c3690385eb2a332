"""``pruneflow train budget.max_drop=0.5``: search the sparsest network within a budget."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.cli.arguments import value, without
from pruneflow.cli.console import PlainConsole
from pruneflow.cli.hydra_app import SWEEP_DIR
from pruneflow.cli.jobs import Composer, Job
from pruneflow.cli.task import shown_result
from pruneflow.errors import ConfigError, PlanError, RecipeError, TrainingError
from pruneflow.recipe.complaints import reported
from pruneflow.report.budget import Tried, budget_table, draw_budget
from pruneflow.sweep.budget import Trial, bisected, perhaps_next
from pruneflow.sweep.place import Asked, Sweep, opened
from pruneflow.sweep.sharing import sharing
from pruneflow.training.budget import Budget
from pruneflow.training.planning import preview
from pruneflow.training.preflight import require_here
from pruneflow.training.progress import Watch
from pruneflow.training.resume import LAST
from pruneflow.training.shared.work import Common

DROP = "budget.max_drop"
SPARSITY = "++recipe.sparsity"
SUMMARY, PICTURE = "budget.json", "budget.png"
DENSE = "dense"


def search(parsed: Namespace, composer: Composer, asked: Job, budget: Budget) -> int:
    """Search, or go on with a search that was stopped.

    Args:
        parsed: The command line.
        composer: Of its configurations.
        asked: What it asks for, as a single run.
        budget: That run's.

    Returns:
        The exit code.

    Raises:
        ConfigError: The command line asks for something else, too.
        RecipeError: The recipe has no sparsity to be searched.
    """
    _require_alone(parsed, asked)
    console = PlainConsole()
    runs = _Runs(parsed.overrides, composer)
    try:
        dense = runs.job(0.0)
        preview(dense.config)
    except (RecipeError, PlanError) as error:
        raise ConfigError(
            f"{DROP}: searches for a sparsity, against the same recipe at sparsity 0: {error}"
        ) from None
    require_here(dense.config)
    where = _asked(composer, parsed.overrides, dense, budget)
    with (
        runfolder.writing(where.folder),
        opened(where, lambda text: console.print(text, soft_wrap=True)) as place,
    ):
        try:
            return _Search(runs, place, budget, console).run(dense)
        except (KeyboardInterrupt, SystemExit, BrokenPipeError) as stop:
            console.print("\nInterrupted. To go on, type the same command again.", soft_wrap=True)
            raise KeyboardInterrupt from stop


@dataclass(frozen=True)
class _Runs:
    """The runs of a search: the same command line at one sparsity after another."""

    overrides: Sequence[str]
    composer: Composer

    def job(self, sparsity: float) -> Job:
        words = without(self.overrides, DROP)
        return self.composer.job([*words, f"{DROP}=null", f"{SPARSITY}={sparsity:g}"])


class _Search:
    """A search, its folder, and who reads along."""

    def __init__(self, runs: _Runs, place: Sweep, budget: Budget, console: PlainConsole) -> None:
        self.runs, self.place, self.budget, self.console = runs, place, budget, console
        self.tried: list[Tried] = []
        self.trials: list[Trial] = []
        self.baseline = 0.0

    def run(self, dense: Job) -> int:
        """Try one network after another until the budget of runs is spent."""
        first = self._trained(dense, DENSE, self._points(dense))
        self.baseline = _validation(self.place.folder / DENSE, first)
        self._note(DENSE, 0.0, first)
        while (asked := bisected(self.trials, self.budget)[0]) is not None:
            name = f"{asked:.4f}"
            try:
                job = self.runs.job(asked)
                preview(job.config)
            except PlanError as error:
                self.trials.append(Trial(asked, None))
                reason = str(error).partition("\n")[0]
                self.tried.append(Tried(name, asked, None, None, None, False, reason=reason))
                continue
            result = self._trained(job, name, self._points(job))
            self._note(name, asked, result)
        return self._concluded()

    def _trained(self, job: Job, name: str, common: Common) -> dict[str, Any]:
        """The result of one of its runs: found, gone on with, or trained."""
        folder, config = self.place.folder / name, job.config
        if runfolder.is_finished(folder):
            return runfolder.read_json(folder / runfolder.RESULT)
        if runfolder.has_begun(folder):
            config = replace(config, values={**config.values, "ckpt_path": LAST})
        runfolder.mark_job(folder)
        return shown_result(config, folder, Watch(f"{name}: "), common)

    def _points(self, job: Job) -> Common:
        """Where runs that may follow part from this one."""
        near = [job, *self._later(job)]
        plans = [preview(each.config).plan for each in near]
        points = sharing([each.config for each in near], plans).points
        return Common(points.get(job.config.digest, ()), self.place.shared)

    def _later(self, job: Job) -> Iterator[Job]:
        """The runs that may follow one of them, or else come at the same time."""
        asked, _ = bisected(self.trials, self.budget)
        near = [] if asked is None else [asked, *perhaps_next(self.trials, self.budget)]
        for later in map(self.runs.job, near):
            try:
                preview(later.config)
            except PlanError:
                continue
            if later.config.digest != job.config.digest:
                yield later

    def _note(self, name: str, asked: float, result: dict[str, Any]) -> None:
        folder = self.place.folder / name
        found = _validation(folder, result)
        drop = round(100 * (self.baseline - found), 6)  # half a point is half a point
        within = drop <= self.budget.max_drop
        if name != DENSE:
            self.trials.append(Trial(asked, drop))
        test = result["accuracy"]["final"]
        self.tried.append(Tried(name, result["sparsity"], found, test, drop, within))

    def _concluded(self) -> int:
        _, best = bisected(self.trials, self.budget)
        chosen = None if best is None else f"{best:.4f}"
        tried = [replace(each, is_chosen=each.name == chosen) for each in self.tried]
        folder, drop = self.place.folder, self.budget.max_drop
        told = [vars(each) for each in tried]
        runfolder.write_json(folder / SUMMARY, {"max_drop": drop, "chosen": chosen, "tried": told})
        draw_budget(tried, drop, folder / PICTURE)
        self.console.print(budget_table(tried, drop))
        self._say(f"Picture: {runfolder.shown(folder / PICTURE)}")
        if chosen is None:
            self._say(f"No network that was tried is within {drop:g} points of dense.")
            return 1
        found = next(each for each in tried if each.is_chosen)
        self._say(
            f"Sparsest within {drop:g} points on validation data: {found.sparsity:.2%}. Test "
            f"accuracy {_percent(found.test)}, dense {_percent(tried[0].test)}. "
            f"Run folder: {runfolder.shown(folder / chosen)}"
        )
        return 0

    def _say(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)


def _require_alone(parsed: Namespace, asked: Job) -> None:
    if parsed.multirun:
        raise ConfigError(f"{DROP}: is one search; leave out -m, or {DROP}")
    if value(parsed.overrides, SPARSITY) or value(parsed.overrides, SPARSITY.lstrip("+")):
        raise ConfigError(f"{DROP}: searches for the sparsity; leave 'sparsity=' out")
    if asked.config.values["ckpt_path"] is not None:
        raise ConfigError(
            f"{DROP}: cannot begin from ckpt_path; to go on with a search, type it again without"
        )
    if asked.config.values["seed"] is None:
        raise ConfigError(f"{DROP}: compares networks of one seed; write seed=0, or another")


def _asked(composer: Composer, overrides: Sequence[str], job: Job, budget: Budget) -> Asked:
    """Where a search goes; it is known again by its first run and by its budget."""
    master = composer.master(overrides)
    with reported():
        folder = Path(os.path.abspath(str(master.hydra.sweep.dir)))
    named = value(overrides, SWEEP_DIR) is not None
    told = f"{DROP}={budget.max_drop:g} {budget.runs} {job.config.digest}"
    return Asked(folder, named, job.config.values["fresh"] is True, hashes=[told])


def _validation(folder: Path, result: dict[str, Any]) -> float:
    """Accuracy on validation data at the end of a run.

    Raises:
        TrainingError: None was logged there.
    """
    lines = (folder / runfolder.HISTORY).read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1]) if lines else {}
    for name, score in sorted(last.items()):
        if last["step"] == result["steps"] and name.startswith("val") and "acc" in name:
            return float(score)
    raise TrainingError(
        f"{runfolder.shown(folder)}: {DROP} selects on validation data, and no accuracy on it was "
        "logged at the end: a module logs 'val_accuracy' in validation_step, and a run ends with "
        "an epoch"
    )


def _percent(share: float | None) -> str:
    return "not measured" if share is None else f"{share:.2%}"
