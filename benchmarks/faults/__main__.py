"""Faults of every kind, drawn at random: each has to end exactly or to be refused honestly.

    python -m benchmarks.faults --faults 500

A run is struck while it trains, or one of its files is damaged afterwards. Then everything under
a final name has to be whole, the message has to be clear, and the command that goes on has to end
with the bits of a run that nothing struck, or to refuse and say why.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.faults import damage, struck
from benchmarks.faults.damage import Templates
from benchmarks.faults.nursery import Nursery
from benchmarks.faults.struck import EXACT, LOST, REFUSED, Outcome

RESULTS = Path(__file__).parents[1] / "results" / "faults.json"

Strike = Callable[[random.Random], Outcome]


def main() -> int:
    """Let faults strike, one of each kind in turn, and write how they ended."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="begin none after these")
    parser.add_argument("--kind", action="append", help="only these kinds; may be repeated")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if lacks := Nursery.lacks():
        raise SystemExit(lacks)
    began = time.monotonic()
    with strikes() as known:
        kinds = {kind: known[kind] for kind in asked.kind or known}
        found = {kind: {"faults": 0, EXACT: 0, REFUSED: 0, LOST: 0} for kind in kinds}
        for number in range(asked.faults):
            if time.monotonic() - began > asked.seconds:
                break
            kind = list(kinds)[number % len(kinds)]
            outcome = kinds[kind](random.Random(f"{asked.seed} {number}"))
            found[kind]["faults"] += 1
            found[kind][outcome.how] += 1
            if outcome.how == LOST:
                print(f"{kind}, number {number}: {outcome.why}", flush=True)
            told = {"seed": asked.seed, **total(found), "of": found}
            asked.results.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(total(found)))
    return 1 if total(found)[LOST] else 0


def total(found: dict[str, dict[str, int]]) -> dict[str, int]:
    """Over all kinds."""
    return {key: sum(each[key] for each in found.values())
            for key in ("faults", EXACT, REFUSED, LOST)}  # fmt: skip


@contextmanager
def strikes() -> Iterator[dict[str, Strike]]:
    """Context: every kind of fault, and what lets one of it strike."""
    with tempfile.TemporaryDirectory() as folder, Nursery(Path(folder)) as nursery:
        reference = struck.undisturbed(nursery)

        def strike(kind: str, chance: random.Random) -> Outcome:
            fault = struck.drawn(kind, chance)
            outcome = struck.struck(nursery, fault, reference)
            return Outcome(outcome.how, f"{fault}: {outcome.why}")

        templates = Templates(nursery, Path(folder))

        def harm(kind: str, chance: random.Random) -> Outcome:
            return templates.damaged(kind, chance, reference)

        yield {
            **{kind: partial(strike, kind) for kind in struck.KINDS},
            **{kind: partial(harm, kind) for kind in damage.KINDS},
            "two runs on one folder": lambda chance: templates.shared_folder(reference),
        }


if __name__ == "__main__":
    sys.exit(main())
