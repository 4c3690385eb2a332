"""Reports and runs to draw: a good one, an awkward one, and folders full of runs."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

BATCHES = (1, 16, 64)
DENSE = ("torch", "torch_compile", "torch_compile_frozen", "onnxruntime")
HOSTILE = (
    "<script>alert(1)</script>\"'><img src=http://x.example/y onerror=alert(2)>&amp;\u202e\x1b[31m"
)


def timing(kind: str, median: float, seed: int) -> dict[str, Any]:
    """An engine's times around a median, in microseconds."""
    draw = random.Random(seed)
    samples = sorted(round(median * draw.lognormvariate(0, 0.04), 2) for _ in range(25))
    return {"kind": kind, "cold": round(3.7 * median, 2), "median": samples[12],
            "low": samples[2], "high": samples[22], "samples": samples}  # fmt: skip


def cell(batch: int, threads: int, medians: dict[str, float]) -> dict[str, Any]:
    """What was timed at one batch on one thread count."""
    engines = {
        name: timing("dense" if name in DENSE else "sparse", median, batch + threads + place)
        for place, (name, median) in enumerate(medians.items())
    }
    middle = {name: entry["median"] for name, entry in engines.items()}
    best = min((name for name in middle if name in DENSE), key=middle.__getitem__)
    fastest = min(middle, key=middle.__getitem__)
    chosen = fastest if middle[best] / middle[fastest] >= 1.05 else best
    return {"batch": batch, "threads": threads, "best_dense": best, "chosen": chosen,
            "speedup": middle[best] / middle[chosen], "engines": engines}  # fmt: skip


def layer(name: str, op: str, shape: list[int], sparsity: float, **more: Any) -> dict[str, Any]:
    """A layer of a report."""
    parameters = math.prod(shape)
    kept = round(parameters * (1 - sparsity))
    return {"name": name, "op": op, "shape": shape, "parameters": parameters, "nonzeros": kept,
            "sparsity": 1 - kept / parameters, "flops_share": 0.25, "layout": "rice",
            "bytes": round(kept * 4.7), "dense_bytes": 4 * parameters,
            "entropy_bytes": round(kept * 4.6), "backend": "c",
            "fastest_alone": "c", "why": "4.1x torch at batch 1",
            "times": {"torch": 20.1, "torch_csr": 14.0, "c": 4.9}} | more  # fmt: skip


def verdict(error: float, bound: float = 3.1e-5) -> dict[str, Any]:
    """What the gate found of an engine."""
    return {"error": error, "bound": bound, "passed": error <= bound}


def explicit(speedup: float) -> dict[str, Any]:
    """Dense torch was asked for at two batches, although onnxruntime is faster."""
    report = sparse()
    first = report["latency"][0] | {"chosen": "torch", "speedup": speedup}
    report["latency"] = [first, first | {"batch": 4, "speedup": 1.0, "chosen": "onnxruntime"}]
    report["verdict"] = {"runs": "dense", "why": "'torch' was asked for", "wins_from": None}
    return report


def good() -> dict[str, Any]:
    """LeNet-300-100 at 95 %: sparse wins at small batches on one thread, everywhere on two."""
    names = ("torch", "torch_compile", "onnxruntime", "torch_csr", "c")
    medians = {
        (1, 1): (24.1, 21.0, 18.0, 15.2, 3.5),
        (16, 1): (96.0, 90.0, 71.0, 150.0, 38.0),
        (64, 1): (260.0, 248.0, 196.0, 560.0, 214.0),
        (1, 2): (26.0, 22.4, 16.1, 16.0, 3.6),
        (16, 2): (61.0, 58.0, 44.0, 94.0, 21.0),
        (64, 2): (150.0, 141.0, 121.0, 330.0, 104.0),
    }
    latency = [
        cell(*place, dict(zip(names, times, strict=True))) for place, times in medians.items()
    ]
    return {
        "schema": "pruneflow.report/1", "name": "lenet_imp", "created": "2026-11-22T13:00:00Z",
        "source": {"run": "outputs/lenet_imp/2026-11-22_13-00-00", "recipe": "lenet_imp",
                   "model": "lenet_300_100", "data": "digits", "seed": 0},
        "goal": "balanced", "values": "fp32",
        "sparsity": 0.95, "nonzeros": 13310, "parameters": 266610,
        "flops": {"dense": 532400, "sparse": 26620},
        "bundle": {"file": "bundle.safetensors", "bytes": 67380, "dense_bytes": 1066440,
                   "entropy_bytes": 63510,
                   "parts": {"values": 53240, "index": 9600, "scales": 0, "plain": 1640,
                             "header": 2900}},
        "layers": [
            layer("fc1", "linear", [300, 784], 0.95, flops_share=0.883),
            layer("fc2", "linear", [100, 300], 0.95, flops_share=0.113),
            layer("fc3", "linear", [10, 100], 0.95, flops_share=0.004, layout="gaps8",
                  fastest_alone="torch", why="too small to gain"),
        ],
        "accuracy": {"metric": "accuracy", "split": "val", "samples": 180, "before": 0.9722,
                     "after": 0.9667, "drop": 0.5556, "allowed": 1.0},
        "gate": {"passed": True, "reference": "float64", "inputs": 64, "engines": {
            "torch": verdict(1.0e-6), "torch_compile": verdict(1.1e-6),
            "onnxruntime": verdict(1.4e-6), "torch_csr": verdict(9.0e-7), "c": verdict(1.2e-6)}},
        "latency": latency[::-1], "graph": True,
        "engines": {"torch": {"kind": "dense", "version": "2.13.0"},
                    "torch_compile": {"kind": "dense", "version": "2.13.0"},
                    "onnxruntime": {"kind": "dense", "version": "1.32.0"},
                    "torch_csr": {"kind": "sparse", "version": "2.13.0"},
                    "c": {"kind": "sparse", "version": "gcc 12.2.0"}},
        "verdict": {"runs": "mixed", "why": "c wins by 5.1x at batch 1 and 1.9x at batch 16; at "
                    "batch 64 on one thread onnxruntime is ahead by 9 %.",
                    "wins_from": [{"sparsity": 0.98, "batch": 64, "threads": 1}]},
        "device": {"cpu": "AMD EPYC 9R14", "cores": 2, "machine": "x86_64",
                   "system": "Linux 6.1", "compiler": "gcc 12.2.0", "load": [0.5, 0.4, 0.3]},
        "versions": {"pruneflow": "0.1.0", "python": "3.11.7", "torch": "2.13.0",
                     "onnxruntime": "1.32.0"},
    }  # fmt: skip


def small() -> dict[str, Any]:
    """The good one, on one thread."""
    report = good()
    report["latency"] = [entry for entry in report["latency"] if entry["threads"] == 1]
    return report


def sparse() -> dict[str, Any]:
    """One batch, one thread: the simplest success."""
    report = good()
    report["latency"] = [entry for entry in report["latency"]
                         if entry["batch"] == 1 and entry["threads"] == 1]  # fmt: skip
    report["verdict"] = {"runs": "sparse", "why": "c wins by 5.1x at batch 1.", "wins_from": None}
    return report


def on_gpu() -> dict[str, Any]:
    """The good one on a GPU: no threads to choose, and other engines."""
    report = small()
    for entry in report["latency"]:
        entry["device"] = "cuda"
    report["device"] |= {"gpu": "NVIDIA H100 80GB HBM3", "precision": "bf16", "driver": "580.1"}
    return report


def ahead() -> dict[str, Any]:
    """Kernels compiled for a GPU that is not there: nothing was timed."""
    report = good()
    report["latency"], report["engines"] = [], {}
    report["kernels"] = [
        {"layer": name, "kernel": "sell", "batch": batch, "launch": 0, "symbol": "sell_gemv",
         "arch": "sm_90", "shared_memory": 2048, "cubin": "sell_gemv-0123456789ab.cubin",
         "resources": {"registers": 64 + batch, "spilled": 8 * (name == "fc3"),
                       "instructions": 77, "tensor": 0}}
        for name in ("fc1", "fc2", "fc3") for batch in (1, 16)
    ]  # fmt: skip
    report["verdict"] = {"runs": "sparse", "why": "kernels for sm_90 were compiled ahead of time, "
                         "and nothing was timed", "wins_from": None}  # fmt: skip
    return report


def in_c() -> dict[str, Any]:
    """C99 code for microcontrollers: its flash, its memory, and what emulated boards counted."""
    report = good()
    report["latency"], report["engines"] = [], {}
    report["verdict"] = {"runs": "sparse", "why": "written as C99; nothing was timed here",
                         "wins_from": None}  # fmt: skip
    report["c99"] = code()
    return report


def code() -> dict[str, Any]:
    """What is known of LeNet-300-100 in C."""
    sizes = {"fc1": (300, 784, 11760), "fc2": (100, 300, 1500), "fc3": (10, 100, 50)}
    return {
        "name": "lenet_imp",
        "files": {"source": "c99/lenet_imp.c", "header": "c99/lenet_imp.h",
                  "self_test": "c99/lenet_imp_test.c"},
        "values": "int8", "activations": "fp32",
        "layers": [{"name": name, "layout": "gaps8", "values": "int8", "rows": rows,
                    "columns": columns, "stored": kept,
                    "bytes": {"values": kept, "index": kept + rows, "scales": 4 * rows,
                              "bias": 4 * rows}}
                   for name, (rows, columns, kept) in sizes.items()],
        "memory": {"workspace_bytes": 1600, "input_bytes": 3136, "output_bytes": 40, "buffers": [
            {"name": "relu1", "offset": 0, "bytes": 1200, "first": 0, "last": 1},
            {"name": "relu2", "offset": 1200, "bytes": 400, "first": 1, "last": 2}]},
        "parity": {"split": "test", "samples": 10000, "accuracy": {"torch": 0.9653, "c": 0.9656},
                   "drop": -0.03, "allowed": 0.5, "largest_deviation": 2.1e-5, "rounding": 7.5e-9,
                   "reference": "torch, the network as it was trained", "same_class": 9998,
                   "compiler": "gcc 12.2.0", "flags": "-std=c99 -O2"},
        "flash": {"tool": "arm-none-eabi-gcc 12.2.1 / size", "cpu": "cortex-m4", "flags": "-Os",
                  "sparse": {"code": 350, "values": 13310, "index": 13720, "scales": 1640,
                             "bias": 1640, "total": 30660, "library": 1736},
                  "dense": {"code": 256, "values": 1064800, "index": 0, "scales": 0, "bias": 1640,
                            "total": 1066696, "library": 1736},
                  "ram": {"workspace": 1600, "static": 0, "stack": 44}},
        "boards": [
            {"cpu": "cortex-m0plus", "machine": "mps2-an385 (cortex-m3)", "emulator": "QEMU 7.2",
             "flags": "-O2", "flash": 30710, "library": 2132, "samples": 20, "agrees": 19,
             "instructions": 3288113, "dense_instructions": 33052521},
            {"cpu": "cortex-m4", "machine": "mps2-an386", "emulator": "QEMU 7.2", "flags": "-O2",
             "flash": 30660, "library": 1736, "samples": 20, "agrees": 20,
             "instructions": 127195, "dense_instructions": 1337180},
        ],
        "boards_absent": "cortex-m7: the network takes more flash than the emulated board has",
    }  # fmt: skip


def awkward() -> dict[str, Any]:
    """Dense wins, nothing measured the accuracy, engines are missing, forty layers, long names."""
    long = "encoder.blocks.11.attention.output.projection.with_a_name_that_never_ends_and_no_space"
    report = good()
    report |= {
        "name": "MyOwnNetworkWithAVeryLongNameThatNobodyWouldTypeTwice.v2",
        "source": {"model": "MyOwnNetworkWithAVeryLongNameThatNobodyWouldTypeTwice.v2"},
        "goal": "latency", "sparsity": 0.5, "nonzeros": 133_300_000, "parameters": 266_600_000,
        "bundle": {"file": "bundle.safetensors", "bytes": 571_000_000,
                   "dense_bytes": 1_066_400_000, "entropy_bytes": 566_000_000,
                   "parts": {"values": 533_200_000, "index": 33_000_000, "scales": 0,
                             "plain": 4_700_000, "header": 100_000}},
        "layers": [
            layer(f"{long}.{n}" if n % 9 == 0 else f"layer{n // 8}.{n % 8}.conv1",
                  "conv2d" if n % 3 else "linear", [512, 256, 3, 3] if n % 3 else [4096, 1024],
                  0.3 + n / 100, flops_share=1 / 40, backend="onnxruntime", layout="bitmask",
                  why="dense onnxruntime is 1.4x as fast at batch 1")
            for n in range(40)
        ],
        "accuracy": None,
        "latency": [cell(batch, threads, {"torch": 41_000.0 * batch**0.9 / threads,
                                          "torch_compile_frozen": 55_000.0 * batch**0.9 / threads,
                                          "c": 66_000.0 * batch / threads})
                    for threads in (1, 8) for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)],
        "gate": {"passed": True, "reference": "float64", "inputs": 64, "engines": {
            "torch": verdict(1.0e-6), "torch_compile_frozen": verdict(1.0e-6), "c": verdict(0.0)}},
        "engines": {"torch": {"kind": "dense", "version": "2.13.0"},
                    "torch_compile": {"kind": "dense", "missing": "no C++ compiler was found"},
                    "torch_compile_frozen": {"kind": "dense", "version": "2.13.0"},
                    "onnxruntime": {"kind": "dense",
                                    "missing": "not installed: pip install 'pruneflow[deploy]'"},
                    "c": {"kind": "sparse", "version": "gcc 12.2.0"}},
        "verdict": {"runs": "dense", "why": "No sparse engine beats torch by 5 %.",
                    "wins_from": [{"sparsity": s, "batch": batch, "threads": 1}
                                  for batch, s in ((1, 0.8), (16, 0.8), (64, None))]},
    }  # fmt: skip
    report["device"]["compiler"] = None
    return report


def red() -> dict[str, Any]:
    """An engine whose answers are wrong."""
    report = good()
    report["gate"] |= {"passed": False}
    report["gate"]["engines"]["c"] = verdict(0.4)
    return report


def reworded(value: Any, text: str) -> Any:
    """The same report with ``text`` in the place of every free text and of every name."""
    kept = {"schema", "runs", "kind"}
    if isinstance(value, dict):
        return {
            key: inner if key in kept else reworded(inner, text) for key, inner in value.items()
        }
    if isinstance(value, list):
        return [reworded(inner, text) for inner in value]
    return text if isinstance(value, str) else value


def hostile(text: str = HOSTILE) -> dict[str, Any]:
    """A report in which every text, and every name of an engine, part and fact, is a stranger's."""
    report = reworded(small() | {"c99": code()}, text)
    for entry in report["latency"]:
        entry["engines"] = {f"{name}{text}": t for name, t in entry["engines"].items()}
        entry["best_dense"], entry["chosen"] = f"onnxruntime{text}", f"c{text}"
    for key in ("engines", "device", "versions", "source"):
        report[key] = {f"{name}{text}": inner for name, inner in report[key].items()}
    for holder, key in ((report["bundle"], "parts"), (report["gate"], "engines")):
        holder[key] = {f"{name}{text}": inner for name, inner in holder[key].items()}
    return report


def result(**changes: Any) -> dict[str, Any]:
    """What a finished run says of itself."""
    sparsity = changes.get("sparsity", 0.9)
    kept = round(266_200 * (1 - sparsity)) + 410
    accuracy = {"dense": 0.97, "pruned": 0.9, "final": 0.96} | changes.pop("accuracy", {})
    return {
        "recipe": "lenet_imp", "model": "lenet_300_100", "data": "digits", "seed": 0,
        "config_hash": "0", "status": "complete", "steps": 40, "sparsity": sparsity,
        "nonzeros": kept, "parameters": 266_610,
        "layers": {"fc1.weight": {"shape": [300, 784], "parameters": 266_610, "nonzeros": kept,
                                  "sparsity": sparsity,
                                  "bytes": {"dense": 1_066_440, "packed": 5 * kept}}},
        "accuracy": accuracy, "rounds": [], "metrics": {}, "seconds": 1.0,
        "compression": {"parameters": kept / 266_610, "bytes": 5 * kept / 1_066_440},
        "versions": {},
    } | changes  # fmt: skip


def run_folder(folder: Path, **changes: Any) -> Path:
    """A run folder with its result."""
    return put(folder, "run.lock.yaml", "name: x\n", "result.json", result(**changes))


def put(folder: Path, *files: Any) -> Path:
    """Write files: names and what they hold, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(files[::2], files[1::2], strict=True):
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def sweep(folder: Path) -> Path:
    """Two recipes, five sparsities, three seeds, most of it deployed; two jobs that failed."""
    draw = random.Random(4)
    number = 0
    for recipe, loss in (("lenet_imp", 0.03), ("one_shot", 0.09)):
        for sparsity in (0.5, 0.8, 0.9, 0.95, 0.98):
            for seed in range(3):
                drop = loss * (sparsity / 0.98) ** 6 + draw.gauss(0, 0.003)
                job = run_folder(folder / str(number), recipe=recipe, sparsity=sparsity, seed=seed,
                                 accuracy={"dense": 0.97, "final": 0.97 - drop})  # fmt: skip
                if recipe == "lenet_imp" or seed == 0:
                    report = good()
                    report["sparsity"] = sparsity
                    report["bundle"]["bytes"] = round(266_610 * (1 - sparsity) * 4.8) + 3000
                    median = 4 + 90 * (1 - sparsity) * draw.uniform(0.8, 1.1)
                    report["latency"] = [cell(1, 1, {"onnxruntime": 18.0, "c": median})]
                    put(job / "deploy", "report.json", report, "report.html", "<!DOCTYPE html>")
                number += 1
    put(folder / str(number), ".job", "", "run.lock.yaml", "name: x\n", "plan.json",
        {"recipe": "one_shot"})  # fmt: skip
    put(folder / str(number + 1), ".job", "")
    return folder
