"""Bad input at large: every recipe, command line and bundle is refused in plain words, or right.

    python -m tests.bad_input --recipes 2000 --lines 500 --bundles 5000

Ends with 1 if one was neither; each of those is shown. What was found is written to
``benchmarks/results/bad_input.json``; of a kind that none was asked for, what stands there stays.
"""

from __future__ import annotations

import argparse
import json
import resource
from pathlib import Path

import torch

from tests.bad_input.campaign import KINDS, campaign

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "bad_input.json"
COUNTS = {"recipes": 2000, "lines": 500, "bundles": 5000}


def main() -> int:
    """Try all kinds, and write what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.bad_input", description=__doc__)
    for name, count in COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    wrong = 0
    for name in KINDS:
        if count := getattr(asked, name):
            result = campaign(name, count, asked.seed)
            wrong += len(result.wrong)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            found[name] = {"seed": asked.seed, **result.to_json(), "peak_memory_mib": peak}
            print(f"{name}: {found[name]}", flush=True)
    asked.out.write_text(json.dumps(found, indent=2) + "\n")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
