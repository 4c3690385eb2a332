"""How small, how quick and how exact is a pruned network as C99?

    python -m benchmarks.c99 RUN ...      networks as finished runs left them
    python -m benchmarks.c99 host RUN ... only the timing on this machine, anew
    python -m benchmarks.c99 table        the table of the README

Every network is written in each way below, compared with torch over its whole test set, compiled
for a Cortex-M0+ and an M4, and run in QEMU, which counts instructions (counts, not cycles). The
dense twin is what the same generator makes of all weights in fp32.

On this machine the same code, compiled with -O3 -march=native, is timed at batch 1 on one thread in
turns with the C kernels of `deploy` (backend `c`) and every dense engine, all called alike; numbers
are ratios to the C kernels and to the fastest dense engine. Losses stay in. Results go to
benchmarks/results/c99.json, network by network; those of other runs stay.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pruneflow import runfolder
from pruneflow.deploy.api import deploy_model
from pruneflow.deploy.c99.host import compiler
from pruneflow.deploy.engines import build, candidates, hindrance, kind_of
from pruneflow.deploy.measure import machine
from pruneflow.deploy.measure.timing import interleaved, speedup, threads
from pruneflow.deploy.network import Network, of_module
from pruneflow.training.finished import Finished, open_run

RESULT = Path(__file__).parent / "results" / "c99.json"
FAST = ("-std=c99", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
SECONDS = 3.0
WAYS: dict[str, dict[str, Any]] = {
    "csr16, fp32": {"goal": "latency", "values": "fp32"},
    "fewest bytes, fp32": {"goal": "size", "values": "fp32"},
    "fewest bytes, int8": {"goal": "size", "values": "int8"},
    "fewest bytes, int8 x int8": {"goal": "size", "values": "int8", "activations": "int8"},
}
TIMED = "csr16, fp32"


def main(runs: list[str]) -> None:
    """Measure networks, and write what is known after each."""
    torch.set_num_threads(1)
    only_host = runs[:1] == ["host"]
    for run in runs[only_host:]:
        finished = open_run(Path(run))
        known = json.loads(RESULT.read_text())["cases"] if RESULT.is_file() else []
        title = title_of(finished)
        if only_host:
            (case,) = (case for case in known if case["network"] == title)
            case["ways"][TIMED] = measured(finished, {TIMED: WAYS[TIMED]})["ways"][TIMED]
        else:
            case = measured(finished, WAYS)
        print(json.dumps(case, indent=1), flush=True)
        places = {other["network"]: other for other in known} | {title: case}
        tree = {
            "what": "flash and RAM in bytes; instructions for one input, in QEMU",
            "cases": list(places.values()),
            "device": machine.device(),
            "versions": machine.versions(),
        }
        runfolder.write_json(RESULT, tree)


def title_of(finished: Finished) -> str:
    """What a network is called in the results."""
    result = finished.result
    recipe = (finished.folder / runfolder.RECIPE_LOCK).read_text()
    allocation = re.search(r"allocation: (\w+)", recipe)
    words = (result["model"], result["recipe"] + (f" {allocation[1]}" if allocation else ""))
    return f"{', '.join(words)}, {result['data']}, {result['sparsity']:.0%}"


def measured(finished: Finished, wanted: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One network, in some ways."""
    result = finished.result
    ways = {}
    for way, options in wanted.items():
        with tempfile.TemporaryDirectory() as folder:
            report = deploy_model(
                finished.module, finished.example(), folder,
                validation=finished.validation(), test=finished.test(),
                source={"model": result["model"]}, target="c99", batches=(1,),
                max_accuracy_drop=100.0, **options,
            ).report["c99"]  # fmt: skip
            ways[way] = _summary(report)
            if way == TIMED:
                ways[way] |= {"host": _timed(finished, Path(folder), report)}
    config = {key: result[key] for key in ("recipe", "model", "data", "seed", "sparsity")}
    return {"network": title_of(finished), **config, "ways": ways}


def _summary(report: dict[str, Any]) -> dict[str, Any]:
    flash, parity = report["flash"], report["parity"]
    return {
        "layouts": {layer["name"]: layer["layout"] for layer in report["layers"]},
        "flash": flash["sparse"], "dense_flash": flash["dense"]["total"],
        "workspace": report["memory"]["workspace_bytes"],
        "boards": {
            board["cpu"]: {key: board.get(key) for key in
                           ("instructions", "dense_instructions", "samples", "agrees", "flash")}
            for board in report.get("boards", ())
        },
        "accuracy": parity["accuracy"], "samples": parity["samples"],
        "same_class": parity["same_class"], "largest_deviation": parity["largest_deviation"],
    }  # fmt: skip


def _timed(finished: Finished, folder: Path, report: dict[str, Any]) -> dict[str, Any]:
    """The code against the C kernels and all dense engines, batch 1."""
    network = of_module(finished.module, finished.example())
    x = finished.example()[:1].contiguous()
    runs = {"c99": _called(folder, report, network, x)}
    for name in candidates(None, None, "cpu"):
        if (kind_of(name) == "dense" or name == "c") and not hindrance(network, name):
            runs[name] = build(network, name, 1)
    with threads(1):
        times = interleaved(runs, x, SECONDS)
    dense = min((n for n in times if kind_of_or_c99(n) == "dense"), key=lambda n: times[n].median)
    return {
        "microseconds": {name: round(times[name].median, 2) for name in times},
        "best_dense": dense,
        "times_as_fast_as_c": round(speedup(times["c99"], times["c"]), 3),
        "times_as_fast_as_best_dense": round(speedup(times["c99"], times[dense]), 3),
        "flags": " ".join(FAST),
    }


def kind_of_or_c99(name: str) -> str:
    """Whether an engine multiplies by zeros as well."""
    return "sparse" if name == "c99" else kind_of(name)


def _called(folder: Path, report: dict[str, Any], network: Network, x: torch.Tensor) -> Any:
    """The code behind a call like those of other engines: a tensor in, a new tensor out."""
    source = folder / report["files"]["source"]
    name = report["name"]
    library = source.with_suffix(".so")
    command = [compiler(), *FAST, "-o", str(library), str(source), "-lm"]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(library))[f"{name}_run"]
    function.argtypes, function.restype = [ctypes.c_void_p] * 3, None
    workspace = torch.empty(report["memory"]["workspace_bytes"] // 4)
    like = torch.empty(1, report["memory"]["output_bytes"] // 4)

    def run(x: torch.Tensor) -> torch.Tensor:
        y = torch.empty_like(like)
        function(workspace.data_ptr(), x.data_ptr(), y.data_ptr())
        return y

    torch.testing.assert_close(run(x), build(network, "torch", 1)(x), rtol=1e-3, atol=1e-4)
    return run


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown: what a Cortex-M4 is asked for, then this machine's speed."""
    cases = results["cases"]
    rows = [
        "| network | weights | flash | RAM | instructions | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases:
        for way, found in case["ways"].items():
            board = found["boards"]["cortex-m4"]
            flash, dense = found["flash"]["total"], found["dense_flash"]
            fewer = board["dense_instructions"] / board["instructions"]
            rows.append(
                f"| {case['network']} | {way} | {flash:,} ({dense / flash:.1f}x less) | "
                f"{found['workspace']:,} | {board['instructions']:,} ({fewer:.1f}x fewer) | "
                f"{found['accuracy']['torch']:.2%} → {found['accuracy']['c']:.2%} |"
            )
    rows += ["", "| network | of the engine `c` | of the best dense engine |", "|---|---|---|"]
    for case in cases:
        host = case["ways"][TIMED]["host"]
        rows.append(
            f"| {case['network']} | {host['times_as_fast_as_c']:.2f} | "
            f"{host['times_as_fast_as_best_dense']:.2f} ({host['best_dense']}) |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    if sys.argv[1:] == ["table"]:
        print(table(runfolder.read_json(RESULT)))
    else:
        main(sys.argv[1:])
