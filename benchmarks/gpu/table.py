"""Results as Markdown: goals, whole networks, and layers, with what was lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.gpu import goals
from benchmarks.gpu.results import fastest, speedup

SIGNS = {"pass": "pass", "fail": "FAIL", "not measured": "not measured"}


def table(results: Mapping[str, Any]) -> str:
    """All tables of the machine that measured last."""
    return of(results["machines"][-1])


def of(machine: Mapping[str, Any]) -> str:
    """All tables of one machine."""
    about, cells = machine["machine"], machine["cells"]
    title = f"{about['device']}, torch {about['torch']}, Triton {about['triton']}"
    parts = [title, _goals(cells), _cells("network", cells), _cells("layer", cells)]
    return "\n\n".join(part for part in parts if part)


def _goals(cells: Mapping[str, Any]) -> str:
    rows = [
        [goal["goal"], goal["wanted"], _number(goal["reached"]), SIGNS[goal["verdict"]]]
        for goal in goals.judged(cells)
    ]
    return _table(["goal", "wanted", "reached", "verdict"], rows)


def _cells(kind: str, cells: Mapping[str, Any]) -> str:
    """How many times as fast as the best dense engine, a column for each batch."""
    mine = [cell for cell in cells.values() if cell["kind"] == kind]
    batches = sorted({cell["batch"] for cell in mine})
    keys = dict.fromkeys((c["name"], c["mask"], c["sparsity"], c["dtype"]) for c in mine)
    rows = []
    for key in sorted(keys):
        name, mask, sparsity, dtype = key
        there = {
            c["batch"]: c for c in mine if (c["name"], c["mask"], c["sparsity"], c["dtype"]) == key
        }
        found = [_cell(there[batch]) if batch in there else "" for batch in batches]
        rows.append([name, mask, f"{sparsity:.0%}", dtype, *found])
    head = [kind, "mask", "sparsity", "dtype", *(f"batch {batch}" for batch in batches)]
    return _table(head, rows) if rows else ""


def _cell(cell: Mapping[str, Any]) -> str:
    own, gain = fastest(cell, "ours"), speedup(cell, "ours")
    if own is None or gain is None:
        return "failed"
    return f"{gain:.2f} {own[0]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield "| " + " | ".join(head) + " |"
        yield "|" + "---|" * len(head)
        for row in rows:
            yield "| " + " | ".join(row) + " |"

    return "\n".join(lines())
