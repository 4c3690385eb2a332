"""Bad input at large: every recipe, command line and bundle is refused in plain words, or right.

    python -m tests.bad_input --recipes 2000 --lines 500 --bundles 5000 --processes 2

Ends with 1 if one was neither; each of those is shown. What was found is written to
``benchmarks/results/bad_input.json``; of a kind that none was asked for, what stands there stays.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tests.bad_input.campaign import KINDS, campaign
from tests.bad_input.judging import WRONG

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "bad_input.json"
COUNTS = {"recipes": 2000, "lines": 500, "bundles": 5000}
GREATEST = ("longest_seconds", "peak_memory_mib")
"""Figures of which the greatest counts, and not the sum."""


def main() -> int:
    """Try all kinds, and write what was found."""
    asked = _asked()
    if asked.part is not None:
        torch.set_num_threads(1)
        name, part = asked.part.split(":")[0], asked.part.split(":")[1:]
        found = campaign(name, getattr(asked, name), asked.seed, (int(part[0]), asked.processes))
        print(json.dumps(found.to_json()))
        return 0
    written = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    wrong = 0
    for name in KINDS:
        if count := getattr(asked, name):
            found = _together(asked, name)
            wrong += found[WRONG]
            written[name] = {"count": count, "seed": asked.seed, **found}
            print(f"{name}: {written[name]}", flush=True)
            asked.out.write_text(json.dumps(written, indent=2) + "\n")
    return int(wrong > 0)


def _asked() -> Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bad_input", description=__doc__)
    for name, count in COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    return parser.parse_args()


def _together(asked: Namespace, name: str) -> dict[str, Any]:
    """What several processes find, each in its part of one kind."""
    count, seed, processes = (str(n) for n in (getattr(asked, name), asked.seed, asked.processes))
    words = [sys.executable, "-m", "tests.bad_input", f"--{name}", count, "--seed", seed,
             "--processes", processes, "--part"]  # fmt: skip
    running = [
        subprocess.Popen([*words, f"{name}:{part}"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for part in range(asked.processes)
    ]
    return _sum([_result(process) for process in running])


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last line of a part, once what it complained about is shown."""
    *told, last = (process.communicate()[0] or "it said nothing").splitlines()
    print("\n".join(told), end="\n" * bool(told), flush=True)
    if process.returncode:
        raise SystemExit(f"a part ended with {process.returncode}: {last}")
    return dict(json.loads(last))


def _sum(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: (max if key in GREATEST else sum)(part[key] for part in parts) for key in parts[0]}


if __name__ == "__main__":
    raise SystemExit(main())
