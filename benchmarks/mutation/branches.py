"""Branch coverage of the core, floor by floor, from the last trace of ``benchmarks.mutation``.

    python -m benchmarks.mutation.branches

Counted is what the traced tests take in their own process: quick tests, of the rooms that
``benchmarks.mutation`` names. Results go to benchmarks/results/branches.json.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import coverage

from benchmarks.mutation.__main__ import COVERING, REPOSITORY, RESULTS
from pruneflow import runfolder
from tests.test_architecture import FLOORS

CORE = range(5)


def main() -> None:
    """Say for each floor, and for the core, how many of its branches some test takes."""
    tracer = coverage.Coverage(data_file=COVERING.with_suffix(".coverage"), branch=True)
    tracer.load()
    found: defaultdict[str, dict[str, int]] = defaultdict(lambda: {"taken": 0, "branches": 0})
    package = REPOSITORY / "pruneflow"
    for measured in sorted(tracer.get_data().measured_files()):
        room = Path(measured).relative_to(package).parts[0].removesuffix(".py")
        if FLOORS.get(room, 99) in CORE:
            ways = tracer.branch_stats(measured)
            for name in (f"floor {FLOORS[room]}", "core"):
                found[name]["taken"] += sum(taken for _, taken in ways.values())
                found[name]["branches"] += sum(every for every, _ in ways.values())
    for name, counts in sorted(found.items()):
        print(f"{name}: {counts['taken']} of {counts['branches']} branches")
    runfolder.write_json(RESULTS.with_name("branches.json"), dict(sorted(found.items())))


if __name__ == "__main__":
    main()
