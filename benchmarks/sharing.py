"""What shared work saves: a sweep against as many separate runs, in CPU time, bit for bit.

    python -m benchmarks.sharing

Each side runs as commands of their own; their CPU time is the kernel's (``getrusage`` of
children). A third side is the sweep that shares nothing, which imports once for all its jobs, too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measured import cpu_seconds, here
from pruneflow import runfolder

RESULTS = Path(__file__).parent / "results" / "sharing.json"
SPARSITIES = ("0.5", "0.8", "0.9", "0.95", "0.98")
COMMON = ("model=lenet_300_100", "data.batch_size=16", "trainer.threads=1")
CASES = {
    "lenet_imp": (0.45, ("recipe=lenet_imp",)),
    "one_shot, pruned at 60 %": (
        0.55,
        ("recipe=one_shot", "recipe.length=40ep", "recipe.modifiers.prune.start=60%"),
    ),
}
"""What a sweep may cost of separate runs at most, and what is run."""

FILES = ("pruned.safetensors", "masks.safetensors", "journal.jsonl", "history.jsonl",
         "logs/metrics.csv")  # fmt: skip


def main() -> int:
    """Measure every case, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it, to try the script")
    quick = parser.parse_args().quick
    cases = {name: measured(name, *case, quick=quick) for name, case in CASES.items()}
    if not quick:
        runfolder.write_json(RESULTS, {**here(), **cases})
        print(table(runfolder.read_json(RESULTS)))
    return 0 if all(case["reached"] for case in cases.values()) else 1


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = [
        "| five sparsities, 0.5 to 0.98 | of five separate runs | of a sweep with `share=false` |",
        "|---|---|---|",
    ]
    for name in CASES:
        case = results[name]
        rows.append(f"| {name} | {case['ratio']:.2f}x | {case['ratio_to_sweep']:.2f}x |")
    return "\n".join(rows)


def measured(name: str, allowed: float, words: tuple[str, ...], quick: bool) -> dict[str, Any]:
    """CPU seconds of five separate runs, of the sweep that shares, and of that which does not."""
    sparsities = SPARSITIES[:2] if quick else SPARSITIES
    swept = (*words, *COMMON, f"sparsity={','.join(sparsities)}", "-m")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        each = [
            trained(
                home,
                *words,
                *COMMON,
                f"sparsity={sparsity}",
                "share=false",
                f"hydra.run.dir=alone/{number}",
            )
            for number, sparsity in enumerate(sparsities)
        ]
        shared = trained(home, *swept, "hydra.sweep.dir=shared")
        unshared = trained(home, *swept, "hydra.sweep.dir=unshared", "share=false")
        same = all(
            (home / "shared" / str(number) / file).read_bytes()
            == (home / other / str(number) / file).read_bytes()
            for number in range(len(sparsities))
            for file in FILES
            for other in ("alone", "unshared")
        )
        told = [
            json.loads((home / f"shared/{n}/result.json").read_text()) for n in range(len(each))
        ]
    steps = sum(result["steps"] for result in told)
    taken = sum((result["shared"] or {"steps": 0})["steps"] for result in told)
    ratio = shared / sum(each)
    print(
        f"{name}: {shared:.1f} s shared, {sum(each):.1f} s in separate runs ({ratio:.2f}x, at "
        f"most {allowed}x), {unshared:.1f} s in a sweep that does not share "
        f"({shared / unshared:.2f}x); {steps - taken} of {steps} steps; same bits: {same}"
    )
    return {
        "command": f"pruneflow train {' '.join(swept)}",
        "cpu_seconds": {
            "separate": [round(seconds, 2) for seconds in each],
            "shared": round(shared, 2),
            "sweep_share_false": round(unshared, 2),
        },
        "ratio": round(ratio, 3),
        "ratio_to_sweep": round(shared / unshared, 3),
        "allowed": allowed,
        "steps": steps,
        "steps_trained": steps - taken,
        "same_bits": same,
        "reached": same and ratio <= allowed,
    }


def trained(home: Path, *words: str) -> float:
    """CPU time of one ``pruneflow train``."""
    return cpu_seconds([sys.executable, "-m", "pruneflow", "train", *words], home)


if __name__ == "__main__":
    raise SystemExit(main())
