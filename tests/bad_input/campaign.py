"""The campaign: bad input of every kind, judged and counted."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from resource import RUSAGE_SELF, getrusage
from typing import Any

from tests.bad_input import bundles, lines, recipes
from tests.bad_input.judging import ACCEPTED, REFUSED, WRONG, Verdict


@dataclass(frozen=True)
class Kind:
    """A kind of bad input.

    Attributes:
        mutants: So many of them, from a seed.
        judged: What becomes of one.
        shown: One for a person who looks into it.
    """

    mutants: Callable[[int, int], Iterator[Any]]
    judged: Callable[[Any], Verdict]
    shown: Callable[[Any], str]


KINDS = {
    "recipes": Kind(recipes.mutants, recipes.judged, recipes.shown),
    "lines": Kind(lines.mutants, lines.judged, ascii),
    "bundles": Kind(bundles.mutants, bundles.judged, lambda mutant: str(mutant.what)),
}


@dataclass(frozen=True)
class Found:
    """What became of many bad inputs.

    Attributes:
        counts: How many were accepted, refused and wrong.
        placed: How many refusals had to begin with the line of one key, and did.
        longest: Seconds of processor time of the slowest.
        wrong: What was wrong with each that was.
    """

    counts: dict[str, int]
    placed: int
    longest: float
    wrong: list[str]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **self.counts,
            "placed": self.placed,
            "longest_seconds": round(self.longest, 2),
            "peak_memory_mib": getrusage(RUSAGE_SELF).ru_maxrss // 1024,
        }


def campaign(name: str, count: int, seed: int, part: tuple[int, int] = (0, 1)) -> Found:
    """Try so many of a kind, and print each that is wrong.

    Args:
        name: Of ``KINDS``.
        count: How many.
        seed: Of chance; the same inputs for the same seed.
        part: ``(k, n)``: every n-th of them, from the k-th on.
    """
    kind, counts = KINDS[name], Counter({ACCEPTED: 0, REFUSED: 0, WRONG: 0})
    state, wrong, placed, longest = random.getstate(), [], 0, 0.0
    for number, mutant in islice(enumerate(kind.mutants(count, seed)), part[0], None, part[1]):
        began = time.process_time()
        verdict = kind.judged(mutant)
        longest = max(longest, time.process_time() - began)
        counts[verdict.kind] += 1
        placed += verdict.kind == REFUSED and bool(getattr(mutant, "places", ()))
        if verdict.kind == WRONG:
            text = f"{name} {number} of seed {seed}: {kind.shown(mutant)}\n{verdict.said}"
            wrong.append(text)
            print(text.encode("ascii", "backslashreplace").decode(), flush=True)
    random.setstate(state)
    return Found(dict(counts), placed, longest, wrong)
