"""Kills at random moments of single runs and of sweeps: each has to end as if nothing had been.

    python -m benchmarks.kills --kills 100

A run or a sweep is started, its whole process group is killed (SIGKILL) after a random time of the
processor, and the same command is typed again; several times, until the last life ends by itself.
What it leaves is compared, bit for bit, with what a life without kills left. A kill counts that met
a process which had begun to train.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured import here

RESULTS = Path(__file__).parent / "results" / "kills.json"
RECIPE = """\
sparsity: 0.9
modifiers:
  prune: {type: iterative_prune, sparsity: "${sparsity}", fraction: 0.5, every: 1ep,
          rewind: none, start: 2ep}
  finetune: {type: lr, start: prune.start, factor: 0.2}
"""
FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl",
         "plan.json", "logs/metrics.csv")  # fmt: skip
SAID = "said.txt"
APART = ("seconds", "shared")
"""What a result may say differently."""

COMMON = ("train", "recipe=kills", "trainer.threads=1", "checkpoint.every_n_steps=7")


@dataclass(frozen=True)
class Victim:
    """What is killed.

    Attributes:
        words: The command that begins it.
        again: The command that goes on with it.
        runs: Where its runs are.
    """

    words: tuple[str, ...]
    again: tuple[str, ...]
    runs: tuple[str, ...]


SWEEP = (*COMMON, "sparsity=0.5,0.75,0.9", "-m", "hydra.sweep.dir=out")
VICTIMS = {
    "single run": Victim(
        (*COMMON, "hydra.run.dir=out"), ("train", "run=out", "ckpt_path=last"), ("out",)
    ),
    "sweep that shares": Victim(SWEEP, SWEEP, ("out/0", "out/1", "out/2")),
    "sweep that does not": Victim(
        (*SWEEP, "share=false"), (*SWEEP, "share=false"), ("out/0", "out/1", "out/2")
    ),
}


def main() -> int:
    """Kill, and write how it ended; every victim's turn is one unbroken series of kills."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="begin no victim after these")
    asked = parser.parse_args()
    began = time.monotonic()
    chance = random.Random(asked.seed)
    found = {name: {"victims": 0, "kills": 0, "exact": 0} for name in VICTIMS}
    wholes = {name: whole(victim) for name, victim in VICTIMS.items()}
    names = list(VICTIMS)
    turn = 0
    while sum(each["kills"] for each in found.values()) < asked.kills:
        if time.monotonic() - began > asked.seconds:
            break
        name = names[turn % len(names)]
        turn += 1
        reference, seconds = wholes[name]
        kills, same = hunted(VICTIMS[name], reference, seconds, chance)
        found[name]["victims"] += 1
        found[name]["kills"] += kills
        found[name]["exact"] += kills if same else 0
        print(f"{name}: {kills} kills, {'exact' if same else 'NOT THE SAME'}", flush=True)
        told = {"kills": sum(each["kills"] for each in found.values()),
                "exact": sum(each["exact"] for each in found.values()), "of": found,
                **here()}  # fmt: skip
        RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    return 0 if all(each["kills"] == each["exact"] for each in found.values()) else 1


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = ["| killed | series of kills | kills | in series that ended exactly |",
            "|---|---|---|---|"]  # fmt: skip
    for name, each in results["of"].items():
        rows.append(f"| {name} | {each['victims']} | {each['kills']} | {each['exact']} |")
    return "\n".join([*rows, f"| all | | {results['kills']} | {results['exact']} |"])


def whole(victim: Victim) -> tuple[dict[str, Any], float]:
    """What a victim leaves that nobody kills, and how many seconds of the processor it takes."""
    with tempfile.TemporaryDirectory() as folder:
        home = prepared(Path(folder))
        process = started(victim.words, home)
        spent = 0.0
        while process.poll() is None:
            spent = cpu_seconds(process.pid) or spent
            time.sleep(0.02)
        if process.returncode != 0:
            raise SystemExit(f"fails by itself: pruneflow {' '.join(victim.words)}")
        return left(victim, home), spent


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor (Linux): however busy the machine is."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def hunted(
    victim: Victim, reference: dict[str, Any], seconds: float, chance: random.Random, most: int = 4
) -> tuple[int, bool]:
    """Kill a victim up to ``most`` times, let it end, and compare.

    Returns:
        How many kills met it alive, and whether it left the same.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = prepared(Path(folder))
        kills = 0
        for _ in range(most):
            if killed(command(victim, home), home, chance.uniform(0.2, 1.0) * seconds):
                kills += 1
        code = started(command(victim, home), home).wait()
        if code != 0 and not all((home / run / "result.json").is_file() for run in victim.runs):
            print(f"exit code {code}: {(home / SAID).read_text()[-2000:]}", flush=True)
            return kills, False  # a finished run refuses to go on, and is as good as done
        found = left(victim, home)
        if other := sorted(name for name in reference if found[name] != reference[name]):
            print(f"not the same: {', '.join(other)}", flush=True)
        return kills, not other


def command(victim: Victim, home: Path) -> Sequence[str]:
    """What a person types: to begin, or to go on where there is something to go on with."""
    return victim.again if (home / "out/run.lock.yaml").is_file() else victim.words


def killed(words: Sequence[str], home: Path, after: float) -> bool:
    """Kill a command and all that it started after so much CPU time; False where none trained."""
    process = started(words, home)
    while process.poll() is None and cpu_seconds(process.pid) < after:
        time.sleep(0.005)
    if process.poll() is not None:
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return any(home.glob("out/**/run.lock.yaml"))


def started(words: Sequence[str], home: Path) -> subprocess.Popen[bytes]:
    """``pruneflow WORDS`` in a process group of its own; what it says is kept."""
    with (home / SAID).open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "pruneflow", *words],
            cwd=home,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def prepared(home: Path) -> Path:
    """A folder with the recipe in it."""
    (home / "recipes").mkdir()
    (home / "recipes/kills.yaml").write_text(RECIPE)
    return home


def left(victim: Victim, home: Path) -> dict[str, Any]:
    """Everything that a victim has left, but for what says how long it took."""
    found: dict[str, Any] = {}
    for run in victim.runs:
        result = json.loads((home / run / "result.json").read_text())
        found[run] = {key: value for key, value in result.items() if key not in APART}
        found |= {f"{run}/{name}": (home / run / name).read_bytes() for name in FILES}
    return found


if __name__ == "__main__":
    raise SystemExit(main())
