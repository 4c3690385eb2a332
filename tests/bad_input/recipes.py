"""Judges bad recipes as ``pruneflow recipes check`` and ``pruneflow plan`` meet them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, islice

from tests.bad_input.judging import ACCEPTED, REFUSED, WRONG, Verdict, answer, own_folder
from tests.bad_input.recipe_accidents import accident, wholes
from tests.bad_input.recipe_mutants import Mutant, single

SINGLE = 0.75
"""The share of recipes that are wrong in one key, beside those that had an accident."""


def mutants(count: int, seed: int) -> Iterator[Mutant]:
    """So many bad recipes; whole files first, each once."""
    chance = random.Random(seed)

    def drawn() -> Iterator[Mutant]:
        while True:
            yield (single if chance.random() < SINGLE else accident)(chance)

    return islice(chain(wholes(), drawn()), count)


def judged(mutant: Mutant) -> Verdict:
    """Check a recipe and, where it is found good, plan it."""
    with own_folder() as folder:
        for name, data in mutant.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        before = sorted(folder.rglob("*"))
        asked = f"./{mutant.name}"
        checked = answer(["recipes", "check", asked])
        verdict = _at_its_place(mutant, checked.verdict(checked.out or checked.err))
        if verdict.kind == ACCEPTED:
            word = "'" + asked.replace("\\", "\\\\").replace("'", "\\'") + "'"
            planned = answer(["plan", f"recipe={word}", *mutant.words])
            verdict = _placed(mutant, planned.verdict())
        if verdict.kind == REFUSED and sorted(folder.rglob("*")) != before:
            return Verdict(WRONG, f"it is refused and leaves files behind: {verdict.said}")
    return verdict


def _at_its_place(mutant: Mutant, verdict: Verdict) -> Verdict:
    """What is wrong by itself is refused at once, and by its own line."""
    if mutant.is_wrong and verdict.kind == ACCEPTED:
        return Verdict(WRONG, "it is found good")
    return _placed(mutant, verdict)


def _placed(mutant: Mutant, verdict: Verdict) -> Verdict:
    if verdict.kind != REFUSED or not mutant.places:
        return verdict
    said = verdict.said.removeprefix("pruneflow: ")
    if not said.startswith(mutant.places):
        return Verdict(WRONG, f"not at {' or '.join(mutant.places)}: {said}")
    return verdict


def shown(mutant: Mutant) -> str:
    """A mutant for a person who looks into it."""
    files = [f"--- {name!a}\n{data[:3000]!r}" for name, data in mutant.files.items()]
    return "\n".join([mutant.what, *files])
