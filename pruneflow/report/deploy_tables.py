"""The tables of a deployed network's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pruneflow.report import units
from pruneflow.report.deploy_view import differs, place
from pruneflow.report.html import Markup, element, joined
from pruneflow.report.parts import Cell, bar, folded, table
from pruneflow.report.record import Record


def layers(report: Record) -> Markup:
    """A row a layer."""
    columns = ["layer", ">sparsity", ">weights left", ">share of FLOPs", "layout",
               ">bytes", ">of dense", "runs on", "fastest alone"]  # fmt: skip
    return table("Layers", columns, [_layer(layer) for layer in report.records("layers")])


def _layer(layer: Record) -> list[Cell | str]:
    sparsity, share = layer.number("sparsity"), layer.optional("flops_share")
    packed, dense = layer.number("bytes"), layer.optional("dense_bytes")
    kept, total = layer.number("nonzeros"), layer.number("parameters")
    shape = f" {units.TIMES} ".join(f"{length:.0f}" for length in layer.numbers("shape"))
    times = layer.amounts("times")
    timed = ", ".join(f"{name} {units.duration(value)}" for name, value in times.items())
    name = joined((layer.text("name"), element("small", f"{layer.text('op', '')} {shape}")))
    backend = layer.text("backend", "-")
    is_told = "fastest_alone" in layer.values  # older reports call the fastest alone the backend
    runs, alone = (backend, layer.text("fastest_alone", "-")) if is_told else ("-", backend)
    alone = "-" if is_told and not times else alone
    why = (element("small", words) for words in (layer.text("why", ""), timed) if words)
    return [
        Cell(name, class_="name"),
        Cell(joined((units.percent(sparsity), bar(sparsity))), sparsity),
        Cell(joined((units.count(kept), element("small", f"of {units.count(total)}"))), kept),
        Cell("-") if share is None else Cell(joined((f"{share:.1%}", bar(share))), share),
        layer.text("layout", "-"),
        Cell(units.count(packed), packed),
        Cell(f"{packed / dense:.1%}", packed / dense) if dense else Cell("-"),
        runs,
        Cell(joined((alone, *why)), class_="words"),
    ]


def kernels(report: Record) -> Markup:
    """A row for each launch that was compiled ahead of time."""
    columns = ["layer", ">batch", "kernel", "for", ">registers", ">spilled bytes",
               ">shared memory", ">loop instructions"]  # fmt: skip
    return table("Kernels", columns, [_kernel(row) for row in report.records("kernels")])


def _kernel(row: Record) -> list[Cell | str]:
    needs = row.record("resources")
    spilled = needs.number("spilled")
    symbol = element("small", row.text("symbol"))
    return [
        Cell(row.text("layer"), class_="name"),
        Cell(f"{row.number('batch'):.0f}", row.number("batch")),
        Cell(joined((row.text("kernel"), symbol))),
        row.text("arch"),
        Cell(f"{needs.number('registers'):.0f}", needs.number("registers")),
        Cell(f"{spilled:.0f}", spilled, "bad" if spilled else ""),
        Cell(units.size(row.number("shared_memory")), row.number("shared_memory")),
        Cell(f"{needs.number('instructions'):.0f}", needs.number("instructions")),
    ]


def latency(workers: str, cells: Sequence[Record], engines: Sequence[str]) -> Markup:
    """The medians: a row a batch, a column an engine; what runs and what it had to beat marked."""
    timed = [name for name in engines if any(name in cell.named("engines") for cell in cells)]
    columns = [">batch", *(f">{name}" for name in timed), ">speed-up"]
    label = f"Median latency, {workers}"
    rows = [_batch(cell, timed) for cell in cells]
    return joined((element("h3", label), table(label, columns, rows)))


def _batch(cell: Record, engines: Sequence[str]) -> list[Cell | str]:
    found = cell.named("engines")
    row: list[Cell | str] = [Cell(f"{cell.number('batch'):.0f}", cell.number("batch"))]
    for name in engines:
        if name not in found:
            row.append("-")
            continue
        median = found[name].number("median")
        marks = {cell.text("best_dense"): "base", cell.text("chosen"): "strong"}
        row.append(Cell(units.duration(median), median, marks.get(name, "")))
    speedup = cell.number("speedup")
    return [*row, Cell(units.times(speedup), speedup, "" if speedup > 1 else "soft")]


def samples(groups: Mapping[str, Sequence[Record]]) -> Markup:
    """The medians of the turns, folded away."""
    inner = [
        joined((element("h3", f"{place(cell).capitalize()}, in microseconds"), *_samples(cell)))
        for cells in groups.values()
        for cell in cells
    ]
    note = (
        "A number is the median of one turn, of up to 16 calls in a row; at most 64 turns of an "
        "engine are listed. Cold is the median of calls with empty caches."
    )
    return folded("Medians of turns", element("p", note, class_="note"), *inner)


def _samples(cell: Record) -> list[Markup]:
    found = []
    for name, entry in cell.named("engines").items():
        cold = f", cold {entry.number('cold'):g}" if entry.has("cold") else ""
        middle = f"median {entry.number('median'):g}"
        spread = (
            f", 10th to 90th percentile {entry.number('low'):g} to {entry.number('high'):g}"
            if entry.has("low") and entry.has("high")
            else ""
        )
        each = " ".join(f"{value:g}" for value in entry.numbers("samples"))
        head = element("b", name)
        found.append(element("p", head, f" ({middle}{spread}{cold}): {each}", class_="samples"))
    return found


def gate(record: Record) -> Markup:
    """A row an engine: whether it agrees, how far it was off, and how far it might have been."""
    rows = []
    for name, entry in record.named("engines").items():
        error, bound = entry.number("error"), entry.number("bound")
        tone = "bad" if differs(entry) else ""
        share = error / bound if bound > 0 else float(error > 0)
        rows.append([
            Cell(name, class_="name"),
            Cell(("no" if tone else "yes") if entry.has("passed") else "-", class_=tone),
            Cell(f"{error:.2g}", error, tone),
            Cell(f"{bound:.2g}", bound),
            Cell(joined((f"{share:.1%}" if share < 10 else units.times(share), bar(share))), share),
        ])  # fmt: skip
    columns = ["engine", "agrees", ">error", ">bound", ">of bound"]
    return table("Correctness gate", columns, rows)
