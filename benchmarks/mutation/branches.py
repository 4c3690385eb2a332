"""Branch coverage of the core, floor by floor, from the last trace of ``benchmarks.mutation``.

python -m benchmarks.mutation.branches
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import coverage

from benchmarks.mutation.__main__ import COVERING, REPOSITORY
from tests.test_architecture import FLOORS

CORE = range(5)


def main() -> None:
    """Print, for each floor and the core, the share of branches that some test takes."""
    tracer = coverage.Coverage(data_file=COVERING.with_suffix(".coverage"), branch=True)
    tracer.load()
    counts: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    package = REPOSITORY / "pruneflow"
    for measured in sorted(tracer.get_data().measured_files()):
        room = Path(measured).relative_to(package).parts[0].removesuffix(".py")
        if FLOORS.get(room, 99) in CORE:
            ways = tracer.branch_stats(measured)
            counts[FLOORS[room]][0] += sum(taken for _, taken in ways.values())
            counts[FLOORS[room]][1] += sum(all_ways for all_ways, _ in ways.values())
    for floor, (taken, all_ways) in sorted(counts.items()):
        print(f"floor {floor}: {taken:5} of {all_ways:5} branches, {taken / all_ways:.1%}")
    taken, all_ways = (sum(pair[i] for pair in counts.values()) for i in (0, 1))
    print(f"core:    {taken:5} of {all_ways:5} branches, {taken / all_ways:.1%}")


if __name__ == "__main__":
    main()
