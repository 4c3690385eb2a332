"""Faults that strike a run at work: what it leaves, what it says, and how it goes on."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.faults import laws
from benchmarks.faults.nursery import Fault, Nursery

RECIPE = """\
sparsity: 0.8
modifiers:
  prune: {type: iterative_prune, sparsity: "${sparsity}", fraction: 0.6, every: 1ep,
          rewind: none, start: 1ep}
"""
BEGIN = ("train", "recipe=faults", "hydra.run.dir=out", "trainer.threads=1",
         "checkpoint.every_n_steps=4", "data.batch_size=128")  # fmt: skip
GO_ON = ("train", "run=out", "ckpt_path=last")
STEPS = 30
OPERATIONS = 270
"""Changes of files that an undisturbed run makes, at least."""

EXACT, REFUSED, LOST = "exact", "refused", "lost"


@dataclass(frozen=True)
class Outcome:
    """How a fault ended: ``exact``, ``refused`` or ``lost``, and why."""

    how: str
    why: str = ""


def drawn(kind: str, chance: random.Random) -> Fault:
    """A fault of a kind, at a random place."""
    step, change = chance.randint(1, STEPS), chance.randint(1, OPERATIONS)
    again = chance.choice([0, 0, 1, 2])
    return {
        "SIGKILL at a step": lambda: Fault("signal", step, "SIGKILL"),
        "SIGKILL at a change of a file": lambda: Fault("operation", change, "SIGKILL"),
        "SIGTERM at a step": lambda: Fault("signal", step, "SIGTERM", again),
        "SIGTERM at a change of a file": lambda: Fault("operation", change, "SIGTERM"),
        "Ctrl-C at a step": lambda: Fault("signal", step, "SIGINT", again),
        "Ctrl-C at a change of a file": lambda: Fault("operation", change, "SIGINT"),
        "disk full": lambda: Fault("operation", change, "ENOSPC"),
        "read-only folder": lambda: Fault("operation", change, "EROFS"),
        "disk that fails": lambda: Fault("operation", change, "EIO"),
        "vanished folder": lambda: Fault("vanish", step, "out"),
        "clock set back": lambda: Fault("clock", step, str(-chance.randint(1, 10**9))),
        "NaN loss": lambda: Fault("nan", step),
        "raising hook": lambda: Fault("raise", *chance.choice(HOOKS)(step)),
    }[kind]()


HOOKS = (
    lambda step: (step, "on_train_batch_start"),
    lambda step: (step, "training_step"),
    lambda step: (step % 3 + 1, "on_train_epoch_end"),
    lambda step: (step % 6 + 1, "validation_step"),
)

KINDS = (
    "SIGKILL at a step", "SIGKILL at a change of a file", "SIGTERM at a step",
    "SIGTERM at a change of a file", "Ctrl-C at a step", "Ctrl-C at a change of a file",
    "disk full", "read-only folder", "disk that fails", "vanished folder", "clock set back",
    "NaN loss", "raising hook",
)  # fmt: skip


@contextmanager
def home() -> Iterator[Path]:
    """Context: a folder in which commands are typed."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "home"
        (folder / "recipes").mkdir(parents=True)
        (folder / "recipes/faults.yaml").write_text(RECIPE)
        yield folder


def undisturbed(nursery: Nursery) -> dict[str, Any]:
    """What a run leaves that nothing strikes."""
    with home() as here:
        end = nursery.run(BEGIN, here)
        if end.code != 0:
            raise SystemExit(f"fails by itself:\n{end.said}")
        return laws.left(here / "out")


def struck(nursery: Nursery, fault: Fault, reference: dict[str, Any]) -> Outcome:
    """Begin a run that a fault strikes, go on with it, and judge."""
    with home() as here:
        end = nursery.run(BEGIN, here, fault)
        run = here / "out"
        begun, done = (run / "run.lock.yaml").is_file(), (run / "result.json").is_file()
        wrong = laws.broken(here) + laws.unclear(end, begun and not done, fault.kind == "raise")
        if (end.code == 0) != done and not (end.code or 0) < 0 and not done:
            wrong.append(f"exit code {end.code} without a result")
        if not done:
            end = nursery.run(GO_ON if begun else BEGIN, here)
            if end.code == 2 and not begun and not wrong and not laws.unclear(end, False):
                shutil.rmtree(run)
                end = nursery.run(BEGIN, here)
                wrong += [f"not the same: {name}" for name in laws.unlike(run, reference)]
                return Outcome(LOST, "; ".join(wrong)) if wrong else Outcome(REFUSED, end.said)
            if end.code != 0:
                wrong.append(f"it does not go on: {end.said[-300:]}")
        wrong += laws.broken(here)
        wrong += [f"not the same: {name}" for name in laws.unlike(run, reference)]
        wrong += [f"left: {path.name}" for path in run.rglob("*.part*")]
    return Outcome(LOST, "; ".join(dict.fromkeys(wrong))) if wrong else Outcome(EXACT)
