"""What does a pruning event cost as networks and numbers of processes grow?

    python -m benchmarks.scale                      what is not measured yet
    python -m benchmarks.scale events 100000000     one number of parameters anew
    python -m benchmarks.scale ranks 4              one number of ranks anew
    python -m benchmarks.scale table                the tables alone

An event is one threshold for all layers together, magnitudes, from 50 to 80 % sparsity: weights
are looked through, chosen, masked, counted and hashed. Beside it stand the choice alone and
``torch.nn.utils.prune.global_unstructured``, in turns in one process, while that fits. Times are
CPU seconds of one thread; memory is the peak beyond what was there, Linux counting. Among ranks
(gloo, ``fully_shard``) it is counted what each passes to collectives. Results go to
benchmarks/results/scale.json, cell by cell, and their tables to scale.md beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pruneflow import runfolder
from pruneflow.deploy.measure import machine

RESULT = Path(__file__).parent / "results" / "scale.json"

SIZES = (1_000_000, 10_000_000, 25_000_000, 100_000_000, 300_000_000, 1_000_000_000)
RANKS = (2, 4, 8)
SHARED_SIZES = (1_000_000, 16_000_000)


def main(arguments: Sequence[str]) -> None:
    """Measure what is missing, or what is asked for, and write it down after every cell."""
    if list(arguments) != ["table"]:
        known = runfolder.read_json(RESULT) if RESULT.is_file() else {}
        found = {"events": known.get("events", []), "ranks": known.get("ranks", [])}
        for kind, case in _wanted(found, arguments):
            fresh = measured(kind, case)
            found[kind] = sorted([*_others(found[kind], case), fresh], key=_order)
            write(found)
    text = "\n".join(["# What a pruning event costs", "", *tables(runfolder.read_json(RESULT))])
    runfolder.write_bytes(RESULT.with_suffix(".md"), f"{text}\n".encode())
    print(text)


def measured(kind: str, case: Sequence[int]) -> dict[str, Any]:
    """One cell, in processes of its own."""
    program = (
        f"import json; from benchmarks.scale_{'events' if kind == 'events' else 'traffic'} "
        f"import cell; print(json.dumps(cell(*{tuple(case)})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"if __name__ == '__main__':\n    {program}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    fresh: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"case": list(case), **fresh}


def write(found: dict[str, Any]) -> None:
    """The cells so far, and the machine."""
    tree = {
        "what": "CPU seconds of one thread; memory in parts of the parameters'",
        **found,
        "device": machine.device(compiles=False),
        "versions": machine.versions(),
    }
    runfolder.write_json(RESULT, tree)


def tables(tree: dict[str, Any]) -> Iterator[str]:
    """The results as Markdown."""
    yield from [
        "`python -m benchmarks.scale` makes this. CPU seconds of one thread, best of three turns;",
        "memory is what comes on top, as a multiple of the parameters' own (float32). The choice",
        "is which weights go, `torch` is `torch.nn.utils.prune.global_unstructured`, and the two",
        "took turns in one process. The event is everything that happens at a later pruning, of",
        "weights that have masks; a first one makes them, which is one multiple more, and stays.",
        "",
        "| parameters | choice, s | torch, s | times as fast | memory | torch's | event, s "
        "| ns a parameter | memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in tree["events"]:
        seconds, extra = cell["seconds"], cell["extra"]
        event = cell["event_seconds"]["later"]
        torchs = seconds.get("torch")
        row = [
            f"{cell['parameters']:,}",
            f"{seconds['threshold']:.3g}",
            f"{torchs:.3g}" if torchs else "",
            f"{torchs / seconds['threshold']:.1f}" if torchs else "",
            f"{extra['threshold']:.2f}",
            f"{extra['torch']:.1f}" if torchs else "",
            f"{event:.3g}",
            f"{1e9 * event / cell['parameters']:.1f}",
            f"{cell['event_extra']['later']:.2f}",
        ]
        yield f"| {' | '.join(row)} |"
    yield from [
        "",
        "Small networks show what every event needs besides, some megabytes.",
        "",
        "Ranks that share out the weights (gloo, `fully_shard`): what each passes to collectives",
        "in one event, how long the slowest takes, and its memory as a multiple of what it holds.",
        "",
        "| ranks | parameters | bytes a rank | calls | event, s | memory |",
        "|---|---|---|---|---|---|",
    ]
    for cell in tree["ranks"]:
        row = [
            cell["ranks"],
            f"{cell['parameters']:,}",
            f"{sum(cell['bytes'].values()):,}",
            cell["calls"],
            f"{cell['event_seconds']:.3g}",
            f"{cell['event_extra']:.2f}",
        ]
        yield f"| {' | '.join(map(str, row))} |"


def table(results: dict[str, Any]) -> str:
    """The results as Markdown, and what they mean."""
    return "\n".join(tables(results))


def _wanted(found: dict[str, Any], arguments: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """The cells to measure: those asked for, or those that are not there."""
    every = [("events", [size]) for size in SIZES]
    every += [("ranks", [ranks, size]) for ranks in RANKS for size in SHARED_SIZES]
    for kind, case in every:
        if arguments:
            if [kind, *arguments[1:]] == [arguments[0], *map(str, case[: len(arguments) - 1])]:
                yield kind, case
        elif case not in [cell["case"] for cell in found[kind]]:
            yield kind, case


def _others(cells: list[dict[str, Any]], case: list[int]) -> list[dict[str, Any]]:
    return [cell for cell in cells if cell["case"] != case]


def _order(cell: dict[str, Any]) -> list[int]:
    case: list[int] = cell["case"]
    return case


if __name__ == "__main__":
    main(sys.argv[1:])
