"""What every report of a deployment has to be like."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from pruneflow.deploy.formats import FORMATS
from pruneflow.report import deploy_page
from pruneflow.report.deploy_table import deploy_table

NUMBER = (int, float)
MAYBE = type(None)

TOP: dict[str, Any] = {
    "schema": str, "name": str, "created": str, "source": dict, "goal": str, "values": str,
    "sparsity": NUMBER, "nonzeros": int, "parameters": int, "flops": dict, "bundle": dict,
    "layers": list, "accuracy": (dict, MAYBE), "gate": dict, "latency": list, "engines": dict,
    "verdict": dict, "device": dict, "versions": dict, "graph": bool, "kernels": list,
}  # fmt: skip
FLOPS = {"dense": int, "sparse": int}
BUNDLE = {"file": str, "bytes": int, "dense_bytes": int, "entropy_bytes": int, "parts": dict}
PARTS = dict.fromkeys(("values", "index", "scales", "plain", "header"), int)
LAYER: dict[str, Any] = {
    "name": str, "op": str, "shape": list, "parameters": int, "nonzeros": int,
    "sparsity": NUMBER, "flops_share": NUMBER, "layout": str, "bytes": int, "dense_bytes": int,
    "entropy_bytes": int, "backend": str, "fastest_alone": str, "why": str, "times": dict,
}  # fmt: skip
ACCURACY: dict[str, Any] = {
    "metric": str, "split": str, "samples": int, "before": NUMBER, "after": NUMBER,
    "drop": NUMBER, "allowed": NUMBER,
}  # fmt: skip
GATE = {"passed": bool, "reference": str, "inputs": int, "engines": dict}
JUDGED: dict[str, Any] = {"error": NUMBER, "bound": NUMBER, "passed": bool}
CELL: dict[str, Any] = {
    "batch": int, "threads": int, "device": str, "best_dense": str, "chosen": str,
    "speedup": NUMBER, "engines": dict,
}  # fmt: skip
TIMES: dict[str, Any] = {
    "kind": str, "cold": NUMBER, "median": NUMBER, "low": NUMBER, "high": NUMBER, "samples": list,
}  # fmt: skip
VERDICT: dict[str, Any] = {"runs": str, "why": str, "wins_from": (list, MAYBE)}
DEVICE: dict[str, Any] = {
    "cpu": str, "cores": int, "machine": str, "system": str, "compiler": (str, MAYBE),
    "load": list,
}  # fmt: skip


def require_sound(report: dict[str, Any], folder: Path = Path("out"), shared: bool = False) -> None:
    """Fail unless a report is of the schema, adds up, and is what was written.

    Args:
        report: What ``deploy_model`` returned.
        folder: Where it wrote.
        shared: Whether layers share weights.
    """
    text = (folder / "report.json").read_text()
    assert json.loads(text, parse_constant=_no_json) == report
    _fits(report, TOP | ({"c99": dict} if "c99" in report else {}))
    assert report["schema"] == "pruneflow.report/1"
    _require_sizes(report, (folder / "bundle.safetensors").stat().st_size, shared)
    _require_engines(report)
    if report["accuracy"] is not None:
        _fits(report["accuracy"], ACCURACY)
        drop = 100 * (report["accuracy"]["before"] - report["accuracy"]["after"])
        assert abs(report["accuracy"]["drop"] - drop) < 1e-3
    _fits(report["verdict"], VERDICT)
    assert report["verdict"]["runs"] in ("sparse", "dense", "mixed")
    _fits(report["device"], DEVICE)
    Console(file=StringIO()).print(deploy_table(report))
    deploy_page.write(report, folder / "report.html")


def _no_json(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def _require_sizes(report: dict[str, Any], size: int, shared: bool) -> None:
    _fits(report["flops"], FLOPS)
    _fits(report["bundle"], BUNDLE)
    _fits(report["bundle"]["parts"], PARTS)
    assert sum(report["bundle"]["parts"].values()) == report["bundle"]["bytes"] == size
    assert 0 <= report["flops"]["sparse"] <= report["flops"]["dense"]
    layers = report["layers"]
    for layer in layers:
        _fits(layer, LAYER)
        assert layer["layout"] in FORMATS
        assert abs(layer["sparsity"] - 1 + layer["nonzeros"] / layer["parameters"]) < 1e-9
        assert layer["fastest_alone"] in {*layer["times"], "torch"}
        first = {cell["chosen"] for cell in report["latency"][:1]}
        compiled = {row["kernel"] for row in report["kernels"]}
        written = {"c99"} & report.keys()
        assert layer["backend"] in {*layer["times"], *first, *compiled, *written}
        for name in layer["times"]:
            assert "missing" not in report["engines"][name]
    shares = sum(layer["flops_share"] for layer in layers)
    assert abs(shares - (1 if layers else 0)) < 1e-9
    if not shared:
        weights = sum(layer["parameters"] for layer in layers)
        pruned = sum(layer["parameters"] - layer["nonzeros"] for layer in layers)
        assert report["nonzeros"] == report["parameters"] - pruned
        assert abs(report["sparsity"] - (pruned / weights if weights else 0)) < 1e-9
    assert report["bundle"]["entropy_bytes"] <= report["bundle"]["bytes"]


def _require_engines(report: dict[str, Any]) -> None:
    _fits(report["gate"], GATE)
    assert report["gate"]["passed"] is True  # whatever is wrong is not in the running
    for judged in report["gate"]["engines"].values():
        _fits(judged, JUDGED)
        assert judged["error"] >= 0
    for cell in report["latency"]:
        _fits(cell, CELL)
        assert cell["best_dense"] in cell["engines"]
        assert cell["chosen"] in cell["engines"]
        assert cell["engines"][cell["best_dense"]]["kind"] == "dense"
        for name, times in cell["engines"].items():
            _fits(times, TIMES)
            assert times["low"] <= times["median"] <= times["high"]
            assert report["gate"]["engines"][name]["passed"]
            assert report["engines"][name]["kind"] == times["kind"]
            assert "missing" not in report["engines"][name]


def _fits(tree: dict[str, Any], types: dict[str, Any]) -> None:
    assert tree.keys() == types.keys()
    for key, wanted in types.items():
        is_number = isinstance(tree[key], bool) and wanted is not bool
        assert isinstance(tree[key], wanted), (key, tree[key])
        assert not is_number, (key, tree[key])
