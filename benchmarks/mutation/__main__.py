"""Draw mutants of the core by chance and look whether the tests notice them.

    python -m benchmarks.mutation --sample 400 --seed 0

The first run traces the quick tests of the core's rooms once (that takes as long as they do, twice
over) and keeps which of them run which line in ``outputs/mutation/``; each mutant then meets only
the tests that run its line. What was found is written after every mutant; the same command goes on
where it was broken off. In the end all tests that noticed a mutant run on the program as it is:
one that fails there has noticed nothing. ``--again`` tries those once more that lived, and
``--trace FILES`` traces new tests first. ``why`` of a mutant that lived is written by who has read
it, and stays.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.mutation import covering, running
from benchmarks.mutation.mutants import Mutant, mutants_of, mutated

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = REPOSITORY / "benchmarks" / "results" / "mutation.json"
COVERING = REPOSITORY / "outputs" / "mutation" / "covering.json"
SUBJECTS = ("timeline.py", "engine.py", "pruning", "recipe", "deploy/formats")
ROOMS = (
    "tests/test_timeline.py", "tests/test_engine.py", "tests/test_errors.py",
    "tests/test_registry.py", "tests/test_holding.py", "tests/test_schedules.py",
    "tests/test_state.py", "tests/test_network.py", "tests/test_network_changes.py",
    "tests/test_keeping.py", "tests/test_rates.py", "tests/test_loop.py",
    "tests/test_loop_calibration.py", "tests/test_calibration_data.py", "tests/test_resume.py",
    "tests/test_tickets.py",
    "tests/pruning", "tests/recipe", "tests/modifiers", "tests/operations", "tests/structure",
    "tests/golden", "tests/zoo", "tests/contract/test_combinations.py",
    "tests/contract/test_criteria_allocations.py", "tests/contract/test_formats.py",
    "tests/contract/test_frozen.py", "tests/contract/test_granularities.py",
    "tests/contract/test_modifiers.py", "tests/contract/test_ranks.py",
    "tests/contract/test_shards.py", "tests/deploy/formats", "tests/deploy/test_layouts.py",
    "tests/deploy/test_granularities.py", "tests/lightning_side", "tests/training",
    "tests/sweep", "tests/cli", "tests/e2e/test_mistakes.py",
)  # fmt: skip
NEAR_FILES, NEAR_SECONDS = 4, 6.0
"""The tests that a mutant meets first."""


def main() -> None:
    """Draw, try and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60, help="of tests, for one mutant")
    parser.add_argument("--again", action="store_true", help="try once more what lived")
    parser.add_argument("--trace", nargs="+", default=[], metavar="FILE", help="tests that are new")
    asked = parser.parse_args()
    COVERING.parent.mkdir(parents=True, exist_ok=True)
    for rooms in ([] if COVERING.is_file() else ROOMS, asked.trace):
        if rooms:  # in a process of its own, for this one must not load what will be mutated
            tracing = get_context("fork").Process(
                target=covering.trace, args=(REPOSITORY, list(rooms), COVERING)
            )
            tracing.start()
            tracing.join()
            if tracing.exitcode:
                raise SystemExit("the tests could not be traced")
    running.prepare()
    known = covering.read(COVERING)
    everything = [mutant for path in subjects() for mutant in mutants_of(REPOSITORY, path)]
    drawn = random.Random(asked.seed).sample(everything, asked.sample)
    earlier = {found["mutant"]: found for found in _earlier()}
    found: list[dict[str, Any]] = []
    for number, mutant in enumerate(drawn, 1):
        entry = earlier.get(mutant.name)
        if entry is None or (asked.again and not entry["killed_by"]):
            kept = {"why": entry["why"]} if entry and "why" in entry else {}
            entry = {"mutant": mutant.name, **tried(mutant, known, asked.seconds), **kept}
            if entry["killed_by"]:
                entry.pop("why", None)
        found.append(entry)
        print(number, mutant.name, "|", entry["killed_by"] or "LIVES", flush=True)
        rest = [earlier[m.name] for m in drawn[number:] if m.name in earlier]
        _write({"seed": asked.seed, "of": len(everything)}, [*found, *rest])
    _write({"seed": asked.seed, "of": len(everything)}, [*_honest(found, known)])


def subjects() -> list[str]:
    """The modules that are mutated."""
    package = REPOSITORY / "pruneflow"
    places = [package / name for name in SUBJECTS]
    files = [file for place in places for file in (sorted(place.rglob("*.py")) or [place])]
    return [str(file.relative_to(REPOSITORY)) for file in files]


def tried(mutant: Mutant, known: covering.Covering, seconds: float) -> dict[str, Any]:
    """What became of a mutant: the nearest tests meet it first, then the others."""
    tests = known.of(mutant.path, mutant.line, mutant.statement)
    near = _near(mutant, tests, known)
    others = [test for test in tests if test not in set(near)]
    met = 0
    for batch in (near, _within(others, known, seconds)):
        if batch:
            met += len(batch)
            module = mutant.path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
            spent = sum(known.seconds[test] for test in batch)
            said = running.verdict(mutated(REPOSITORY, mutant), module, batch, spent)
            if said:
                return {"killed_by": said, "tests": met}
    return {"killed_by": running.ALIVE, "tests": met}


def _honest(found: list[dict[str, Any]], known: covering.Covering) -> Iterator[dict[str, Any]]:
    """What was found, but for what tests noticed that fail without any change."""
    killers = sorted({entry["killed_by"] for entry in found} & known.seconds.keys())
    red = running.verdict(None, "", killers, sum(known.seconds[test] for test in killers))
    for entry in found:
        if entry["killed_by"] and entry["killed_by"] in red.splitlines():
            print("fails without a change:", entry["killed_by"])
            yield {**entry, "killed_by": running.ALIVE}
        else:
            yield entry


def _near(mutant: Mutant, tests: list[str], known: covering.Covering) -> list[str]:
    """Quick tests from the few files that are most about a mutant's line, its own file's first."""
    named = f"test_{Path(mutant.path).stem}.py"
    count: dict[str, int] = {}
    for test in tests:
        file = test.split("::")[0]
        count[file] = count.get(file, 0) + 1
    files = sorted(count, key=lambda file: (not file.endswith(named), -count[file]))[:NEAR_FILES]
    near = [test for test in tests if test.split("::")[0] in files]
    near.sort(key=lambda test: not test.split("::")[0].endswith(named))
    return _within(near, known, NEAR_SECONDS)


def _within(tests: list[str], known: covering.Covering, seconds: float) -> list[str]:
    chosen: list[str] = []
    for test in tests:
        seconds -= known.seconds[test]
        if seconds < 0 and chosen:
            break
        chosen.append(test)
    return chosen


def _earlier() -> list[dict[str, Any]]:
    if not RESULTS.is_file():
        return []
    mutants: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))["mutants"]
    return mutants


def _write(head: dict[str, Any], found: list[dict[str, Any]]) -> None:
    killed = sum(bool(entry["killed_by"]) for entry in found)
    tree = {**head, "tried": len(found), "killed": killed, "share": killed / len(found)}
    text = json.dumps({**tree, "mutants": found}, indent=1)
    partial = RESULTS.with_suffix(".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(RESULTS)


if __name__ == "__main__":
    main()
