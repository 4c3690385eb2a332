"""A run joins the work that it has in common with others: takes what is there, claims the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pruneflow import runfolder, tensor_file
from pruneflow.checkpoint import STATE_KEY, name_of, step_of
from pruneflow.errors import HeldError, ResumeError
from pruneflow.holding import held
from pruneflow.recipe.plan import Plan
from pruneflow.recipe.prefix import deeds, prefix_hash
from pruneflow.report.printable import printable
from pruneflow.training.config import RunConfig
from pruneflow.training.csv_log import FILE, read_rows
from pruneflow.training.shared import store
from pruneflow.training.shared.key import key_of
from pruneflow.training.shared.work import Common, Work

NOTE = "shared.json"
"""In a run's folder: what it went on from."""

PATIENCE = 120.0
"""Seconds without a sign of life from a training after which nobody waits for it any more."""

PAUSE = 0.2

Say = Callable[[str], None]


@contextmanager
def joined(
    config: RunConfig, plan: Plan, folder: Path, begins: Path | None, common: Common, say: Say
) -> Iterator[Work]:
    """Context: take part in the work that a run has in common with others.

    A run that begins gets the newest checkpoint that fits into its own folder, as if it had
    written it; where another one is just training up to a point that both pass, it waits.

    Args:
        config: The run's, as locked.
        plan: What it does.
        folder: The run's.
        begins: The checkpoint it begins from, if any.
        common: What its sweep knows.
        say: Told what is taken, or waited for.
    """
    note = folder / NOTE
    taken = runfolder.read_json(note) if note.is_file() and begins is not None else {}
    work = Work(begins, taken)
    if not config.values.get("share", True) or config.processes > 1:
        yield work
        return
    join = _Join(config, plan, folder, common, say, work.claims)
    try:
        join.into(work)
        yield work
    finally:
        for place in [*work.claims]:
            work.let_go(place)


class _Join:
    """Finds and takes what is there, and claims what is not."""

    def __init__(
        self,
        config: RunConfig,
        plan: Plan,
        folder: Path,
        common: Common,
        say: Say,
        claims: dict[Path, ExitStack],
    ) -> None:
        self.config, self.plan, self.folder, self.say = config, plan, folder, say
        self.claims = claims
        self.store = config.home.absolute() / store.FOLDER
        if common.folder is not None:
            self.store = common.folder
        self.key = key_of(config, plan)
        self.deeds = deeds(plan)
        self.places = {
            until: store.place_of(self.store, self.key, until, prefix_hash(self.deeds, until))
            for until in (_dense(plan) if common.points is None else common.points)
            if 0 < until < plan.total
        }
        self.given_up: set[Path] = set()

    def into(self, work: Work) -> None:
        """Settle what a run begins from, and what it keeps."""
        own = work.checkpoint is not None and work.checkpoint.parent.parent == self.folder
        if own and work.checkpoint is not None:
            if self.config.values["logger"]["name"] != "csv":
                return  # what was logged in an earlier life cannot be told to others
            step = step_of(work.checkpoint)
            for until in [until for until in self.places if until > step]:
                self._claim(until)
        else:
            while (entry := self._awaited()) is not None:
                if self._take(entry, work):
                    break
        work.places = {u: place for u, place in self.places.items() if place in self.claims}
        data, model = (self.config.values[name] for name in ("data", "model"))
        work.about = {
            "run": str(runfolder.shown(self.folder.absolute(), self.config.home)),
            "recipe": self.config.recipe.name,
            "model": str(model["module"] or model["name"]),
            "data": str(data["module"] or data["name"]),
        }

    def _awaited(self) -> store.Entry | None:
        """The newest point that fits, once nobody is at work on a later one that would.

        Claims go from the last point to the first, and who waits holds later ones only: so
        nobody ever waits for somebody who waits for him.
        """
        while True:
            entry = self._newest()
            least = 0 if entry is None else entry.until
            for until in sorted((u for u in self.places if u > least), reverse=True):
                if not self._claim(until):
                    if self._wait(until):
                        break
                    self.given_up.add(self.places[until])
            else:
                return entry

    def _newest(self) -> store.Entry | None:
        fit = [
            entry
            for entry in store.entries(self.store, self.key)
            if entry.place not in self.given_up
            and entry.until < self.plan.total
            and entry.prefix == prefix_hash(self.deeds, entry.until)
        ]
        return max(fit, key=lambda entry: entry.step, default=None)

    def _claim(self, until: int) -> bool:
        """Whether to train up to a point is ours, or at least nobody's to wait for."""
        place = self.places[until]
        if place in self.claims or place in self.given_up:
            return True
        claim = ExitStack()
        try:
            claim.enter_context(held(place))
        except HeldError:
            return False
        except OSError:  # nothing can be kept there
            self.given_up.add(place)
            return True
        runfolder.sweep_temporaries(place)
        self.claims[place] = claim
        return True

    def _wait(self, until: int) -> bool:
        """Until somebody else has trained up to a point, or has stopped; False: he is silent."""
        place = self.places[until]
        self.say(f"Waits for steps 1 to {until}, which another run trains.")
        beat, since = store.heartbeat(place), time.monotonic()
        while store.Entry.read(place) is None:
            if self._claim(until):
                return True
            time.sleep(PAUSE)
            if (now := store.heartbeat(place)) != beat:
                beat, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                return False
        return True

    def _take(self, entry: store.Entry, work: Work) -> bool:
        """Put a point into the run's own folder; False where it is damaged."""
        checkpoint = self.folder / runfolder.CHECKPOINTS / name_of(entry.step)
        part = runfolder.temporary(checkpoint)
        is_csv = self.config.values["logger"]["name"] == "csv"
        metrics = self.folder / "logs" / FILE if is_csv else runfolder.temporary(self.folder / FILE)
        taken = {
            "steps": entry.step,
            "cpu_seconds": round(entry.seconds, 3),
            "run": entry.about["run"],
        }
        try:
            entry.fetch("checkpoint", part)
            _require_whole(part, entry.step)
            entry.fetch("metrics", metrics)
            work.rows = read_rows(metrics)
            runfolder.write_json(self.folder / NOTE, taken)
            runfolder.publish(part, checkpoint)
        except ResumeError as error:
            self.say(f"Not gone on from: {error}")
            if not store.remove(entry.place):
                self.given_up.add(entry.place)
            return False
        finally:
            part.unlink(missing_ok=True)
            if not is_csv:
                metrics.unlink(missing_ok=True)
        entry.touch()
        work.checkpoint, work.taken = checkpoint, taken
        self.say(
            f"Goes on from step {entry.step:,} of {self.plan.total:,}, trained before by "
            f"{printable(entry.about['run'])}: {entry.seconds:.1f} s of CPU time are saved "
            "(share=false: from the start)"
        )
        return True


def _dense(plan: Plan) -> list[int]:
    """The step before masks first change, if they ever do."""
    return [event.step - 1 for event in plan.events if event.changes_masks][:1]


def _require_whole(path: Path, step: int) -> None:
    """Make sure that a file is a checkpoint of ours; nothing in it is run.

    Raises:
        ResumeError: It is not.
    """
    try:
        callbacks = tensor_file.load(path)["callbacks"]
        is_ours = bool(callbacks[STATE_KEY]) and callbacks["pruneflow.recipe"]["clock"] == step
    except Exception:  # torch names no common base for damaged files
        is_ours = False
    if not is_ours:
        raise ResumeError(f"{path}: is no checkpoint of step {step}")
