"""Files that are damaged after they were written: read as what they were, or refused."""

from __future__ import annotations

import os
import random
import re
import shutil
from pathlib import Path
from typing import Any

from benchmarks.faults import laws
from benchmarks.faults.nursery import End, Fault, Nursery
from benchmarks.faults.struck import BEGIN, EXACT, GO_ON, LOST, REFUSED, Outcome, home
from pruneflow.holding import held

AGAIN = (*BEGIN[:2], "hydra.run.dir=again", *BEGIN[3:])
"""A new run, which finds the work that a finished one shares."""

SWEEP = (*BEGIN[:2], "hydra.sweep.dir=sweep", *BEGIN[3:], "sparsity=0.8,0.9", "-m")
BEGINS_WITH = (*AGAIN, "model.weights=out/pruned.safetensors")

KINDS = {
    "damaged checkpoint": ("stopped", "out/checkpoints/*.ckpt", GO_ON, "out"),
    "damaged lock of a run": ("stopped", "out/run.lock.yaml", GO_ON, "out"),
    "damaged lock of a recipe": ("stopped", "out/recipe.lock.yaml", GO_ON, "out"),
    "damaged claim of a folder": ("stopped", "out/.claimed", GO_ON, "out"),
    "damaged plan": ("stopped", "out/plan.json", GO_ON, "out"),
    "damaged shared work": ("swept", "outputs/.shared/*/*/*", AGAIN, "again"),
    "damaged weights": ("finished", "out/pruned.safetensors", BEGINS_WITH, "again"),
}
"""What is there, which of its files is damaged, what is typed then, and where that goes."""


class Templates:
    """Folders with a run in them that was stopped, one that is finished, and a sweep.

    Args:
        nursery: Where commands begin.
        base: Where they are kept.
    """

    def __init__(self, nursery: Nursery, base: Path) -> None:
        self.nursery = nursery
        self.base = base
        self.references: dict[tuple[str, ...], dict[str, Any]] = {}
        stop = Fault("signal", 17, "SIGINT")
        made = (("stopped", BEGIN, stop), ("finished", BEGIN, Fault()), ("swept", SWEEP, Fault()))
        for name, words, fault in made:
            with home() as here:
                nursery.run(words, here, fault)
                shutil.copytree(here, base / name)
        for name, words in (("swept", AGAIN), ("finished", BEGINS_WITH)):
            with home() as here:
                shutil.copytree(base / name, here, dirs_exist_ok=True)
                end = nursery.run(words, here)
                if end.code != 0 or ("Goes on from" in end.said) != (words is AGAIN):
                    raise SystemExit(f"fails by itself:\n{end.said}")
                self.references[words] = laws.left(here / "again")

    def damaged(self, kind: str, chance: random.Random, reference: dict[str, Any]) -> Outcome:
        """Damage a file, type what reads it, and judge.

        Args:
            kind: Of the damage.
            chance: Draws which file, and where.
            reference: What the run leaves that was stopped, once it has ended.
        """
        name, pattern, words, run = KINDS[kind]
        reference = self.references.get(words, reference)
        with home() as here:
            shutil.copytree(self.base / name, here, dirs_exist_ok=True)
            files = [path for path in sorted(here.glob(pattern)) if path.stat().st_size]
            path = chance.choice(files)
            how = spoil(path, chance)
            end = self.nursery.run(words, here)
            told = f"{path.name}, {how}: "
            if end.code == 0:
                bad = [each for each in laws.broken(here / run) if path.name not in each]
                wrong = bad + laws.unlike(here / run, reference)
                return Outcome(LOST, told + "; ".join(wrong)) if wrong else Outcome(EXACT)
            if wrong := unlike_a_refusal(end, path):
                return Outcome(LOST, told + "; ".join(wrong) + f": {end.said[-300:]}")
            return Outcome(REFUSED)

    def shared_folder(self, reference: dict[str, Any]) -> Outcome:
        """Go on with a run while another process is in its folder, and once it has left."""
        with home() as here:
            shutil.copytree(self.base / "stopped", here, dirs_exist_ok=True)
            with held(here / "out"):
                end = self.nursery.run(GO_ON, here)
            wrong = laws.unclear(end, begun=False)
            if end.code != 2 or f"in use: process {os.getpid()}" not in end.said:
                wrong.append(f"not refused: {end.said[-300:]}")
            self.nursery.run(GO_ON, here)
            wrong += laws.broken(here) + laws.unlike(here / "out", reference)
            return Outcome(LOST, "; ".join(wrong)) if wrong else Outcome(REFUSED)


def unlike_a_refusal(end: End, path: Path) -> list[str]:
    """What is wrong about how a damaged file was refused."""
    wrong = laws.unclear(end, begun=False)
    if end.code != 2:
        wrong.append(f"exit code {end.code}")
    if not re.search(
        rf"{re.escape(path.name)}'?:? (is damaged|.*damaged|does not fit|is no )", end.said
    ):
        wrong.append("it does not say that the file is damaged")
    return wrong


def spoil(path: Path, chance: random.Random) -> str:
    """Flip bits of a file, or cut it short; what was done, in words."""
    data = bytearray(path.read_bytes())
    if chance.random() < 0.4:
        size = chance.randrange(len(data))
        path.write_bytes(data[:size])
        return f"cut to {size} of {len(data)} bytes"
    places = [chance.randrange(8 * len(data)) for _ in range(chance.choice([1, 1, 1, 3, 30]))]
    for place in places:
        data[place // 8] ^= 1 << place % 8
    path.write_bytes(data)
    return f"bits {places} flipped"
