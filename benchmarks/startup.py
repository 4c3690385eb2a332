"""What does a command take before it does anything, and what does ``import pruneflow``?

    python -m benchmarks.startup

CPU seconds of a whole process, counted by the kernel, beside an empty Python program and the
libraries that training needs. Commands take turns; the first turn, which fills the disk's cache,
does not count. A budget is what a command may take at most. Results go to
benchmarks/results/startup.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, cpu_seconds, here, shown, spread
from pruneflow import runfolder
from pruneflow.recipe import library

RESULT = RESULTS / "startup.json"
TURNS = 3
HEAVY = ("torch", "pytorch_lightning", "hydra")


@dataclass(frozen=True)
class Start:
    """A process that is timed.

    Attributes:
        title: How the table names it.
        words: After ``python``.
        budget: CPU seconds that it may take at most; None: it is only looked at.
    """

    title: str
    words: tuple[str, ...]
    budget: float | None = None


def imports(name: str, budget: float | None = None) -> Start:
    """A program that imports one module."""
    return Start(f"import {name}", ("-c", f"import {name}"), budget)


def command(words: str, budget: float | None = None) -> Start:
    """A command line of PruneFlow's."""
    recipe = str(library.data_root() / "recipes" / "gradual.yaml")
    real = [recipe if word == "FILE" else word for word in words.split()]
    return Start(f"pruneflow {words}", ("-m", "pruneflow", *real), budget)


STARTS = (
    Start("an empty program", ("-c", "pass")),
    imports("pruneflow", 0.15),
    command("--help", 0.15),
    command("--version", 0.15),
    command("completion bash", 0.15),
    command("cache list", 0.5),
    command("init --help", 0.5),
    command("recipes list", 0.5),
    command("recipes show prune", 0.5),
    command("recipes check FILE", 0.5),
    command("train --help", 0.5),
    command("plan --help", 0.5),
    command("deploy --help", 0.5),
    command("report --help", 0.5),
    command("doctor --help", 0.5),
    Start("a tab in the shell", ("-m", "pruneflow", "_complete", "zsh", "train", "recipe="), 0.5),
    command("plan recipe=gradual"),
    command("doctor"),
    imports("torch"),
    imports("pytorch_lightning"),
)


def main() -> int:
    """Measure, and write what came out; 1 where a budget is not kept."""
    found = measured(STARTS, TURNS)
    runfolder.write_json(RESULT, {"what": "CPU seconds of a process", "starts": found, **here()})
    print(table(runfolder.read_json(RESULT)))
    return 0 if all(start["kept"] for start in found) else 1


def measured(starts: Sequence[Start], turns: int) -> list[dict[str, Any]]:
    """Times of processes, in turns, and which heavy libraries each loads."""
    times: dict[str, list[float]] = {start.title: [] for start in starts}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns + 1):
            print(f"turn {turn} of {turns}", flush=True)
            for start in starts:
                took = cpu_seconds([sys.executable, *start.words], Path(folder))
                if turn:
                    times[start.title].append(took)
        loaded = {start.title: loads(start, Path(folder)) for start in starts}
    return [
        {
            "title": start.title,
            "seconds": spread(times[start.title]),
            "loads": loaded[start.title],
            "budget": start.budget,
            "kept": start.budget is None or spread(times[start.title])["median"] <= start.budget,
        }
        for start in starts
    ]


def loads(start: Start, folder: Path) -> list[str]:
    """Which heavy libraries a process imports."""
    done = subprocess.run(
        [sys.executable, *start.words], cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )  # fmt: skip
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    return [name for name in HEAVY if name in names]


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = ["| process | CPU seconds | at most | loads |", "|---|---|---|---|"]
    for start in results["starts"]:
        budget = "" if start["budget"] is None else f"{start['budget']}"
        missed = "" if start["kept"] else " (missed)"
        title, loaded = start["title"], ", ".join(start["loads"])
        rows.append(f"| `{title}` | {shown(start['seconds'])} | {budget}{missed} | {loaded} |")
    return "\n".join(rows)


if __name__ == "__main__":
    raise SystemExit(main())
