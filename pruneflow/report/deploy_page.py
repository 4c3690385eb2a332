"""The page of a deployed network: what it gained, on this machine, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pruneflow.report import c99_section, deploy_tables, units
from pruneflow.report.deploy_charts import (
    accuracy_chart,
    dense_bytes_chart,
    latency_chart,
    parts_chart,
    parts_keys,
)
from pruneflow.report.deploy_view import (
    by_workers,
    differs,
    engines,
    first_cell,
    is_green,
    missing,
    opened,
    place,
    size_ratio,
)
from pruneflow.report.deploy_words import headline, reasons
from pruneflow.report.html import Markup, element, joined, page
from pruneflow.report.html import write as write_page
from pruneflow.report.parts import chart, charts, facts, section, tile, tiles
from pruneflow.report.record import Record


def write(report: Mapping[str, object], path: Path) -> None:
    """Write the page of a report.

    Args:
        report: What ``report.json`` holds; its texts may be anybody's.
        path: The page to write.

    Raises:
        DataError: It is not the report of a deployed network, or it is damaged.
        OSError: The page cannot be written.
    """
    record = opened(report)
    title = record.text("name", "network")
    parts = (_head(record), body(record), _foot(record))
    write_page(path, page(f"{title} - PruneFlow deploy", *parts))


def body(report: Record) -> Markup:
    """Everything but the page's head and foot."""
    return joined(
        (
            _verdict(report),
            _tiles(report),
            *c99_section.sections(report),
            _bytes(report),
            _latency(report),
            section("Layers", deploy_tables.layers(report),
                    note="What every layer keeps, how it is stored, what computes it in the "
                    "network, and what is fastest when it is timed by itself."),
            *_kernels(report),
            element("div", _accuracy(report), _gate(report), class_="pair"),
            _machine(report),
        )
    )  # fmt: skip


def _head(report: Record) -> Markup:
    chips = {key: value for key, value in report.facts("source").items() if key != "run"}
    chips |= {key: report.text(key) for key in ("goal", "values") if report.has(key)}
    if report.has("created"):
        chips["made"] = report.text("created").replace("T", " ").replace("Z", " UTC")
    items = (element("li", f"{key} ", element("b", value)) for key, value in chips.items())
    return element("header", element("p", "PruneFlow deploy", class_="kicker"),
                   element("h1", report.text("name", "network")),
                   element("ul", *items, class_="chips"))  # fmt: skip


def _verdict(report: Record) -> Markup:
    runs = report.record("verdict").text("runs") if is_green(report) else "red"
    tone = runs if runs in ("dense", "red") else "sparse"
    return element("section", element("p", headline(report), class_="lead"),
                   *(element("p", why) for why in reasons(report)),
                   class_=f"verdict {tone}")  # fmt: skip


def _tiles(report: Record) -> Markup:
    bundle = report.record("bundle")
    sizes = f"{units.size(bundle.number('bytes'))} of {units.size(bundle.number('dense_bytes'))}"
    ratio = size_ratio(report)
    found = [tile("Size", ratio, sizes, "good" if ratio.endswith("smaller") else "")]
    cell = first_cell(report)
    if cell is not None:
        speed = cell.number("speedup")
        detail = f"of {cell.text('best_dense')}, the best dense engine, at {place(cell)}"
        found.append(tile("Speed", units.times(speed), detail, "good" if speed > 1 else ""))
    found += c99_section.tiles(report)
    if report.has("accuracy"):
        scores = report.record("accuracy")
        lost = units.points(scores.number("drop"))
        found.append(tile(scores.text("metric", "accuracy").capitalize(),
                          units.percent(scores.number("after")), lost))  # fmt: skip
    else:
        found.append(tile("Accuracy", "-", "not measured"))
    kept = f"{units.count(report.number('nonzeros'))} of {units.count(report.number('parameters'))}"
    found.append(tile("Sparsity", units.percent(report.number("sparsity")), f"{kept} weights left"))
    return tiles(*found)


def _bytes(report: Record) -> Markup:
    bundle = report.record("bundle")
    parts = bundle.amounts("parts")
    note = ""
    bound = bundle.optional("entropy_bytes")
    if bound:
        over = bundle.number("bytes") / bound - 1
        note = (
            "The entropy bound is the least that any code needs for these values at these places; "
            f"this file is {abs(over):.1%} {'above' if over >= 0 else 'below'} it."
        )
    return section(
        "Bytes",
        charts(
            chart("Against the dense network", dense_bytes_chart(bundle)),
            chart("Inside the bundle", parts_chart(bundle), parts_keys(parts)),
        ),
        note=note,
    )


def _latency(report: Record) -> Markup:
    if not is_green(report):
        return section("Latency", note="Not shown: the gate is red; a wrong answer has no speed.")
    groups, names = by_workers(report), engines(report)
    found = (chart(workers, latency_chart(cells, names)) for workers, cells in groups.items())
    gaps = [
        element("p", element("b", name), f" was not timed: {why}", class_="note")
        for name, why in missing(report).items()
    ]
    if not groups:
        return section("Latency", *gaps, note="Not measured.")
    note = (
        "Time of one call, on logarithmic axes; lower is better. Engines take turns of up to 16 "
        "calls: a point is the median over the turns' medians, its bar their 10th to 90th "
        "percentile. Solid lines compute with the zeros left out, dashed ones with all weights."
    )
    tables = (deploy_tables.latency(workers, cells, names) for workers, cells in groups.items())
    samples = deploy_tables.samples(groups)
    return section("Latency", charts(*found), *gaps, *tables, samples, note=note)


def _kernels(report: Record) -> list[Markup]:
    if not report.records("kernels"):
        return []
    note = (
        "Compiled ahead of time, and not run: what each launch asks of the GPU. Instructions are "
        "those of its innermost loops; spilled bytes are registers that went to memory. The files "
        "and how to launch them are in kernels/."
    )
    return [section("Kernels", deploy_tables.kernels(report), note=note)]


def _accuracy(report: Record) -> Markup:
    if not report.has("accuracy"):
        return section("Accuracy", note="Not measured: there was no data to measure it on.")
    scores = report.record("accuracy")
    values = {"before": units.percent(scores.number("before")),
              "after": units.percent(scores.number("after")),
              "change": units.points(scores.number("drop"))}  # fmt: skip
    if scores.has("allowed"):
        values["allowed"] = f"{scores.number('allowed'):.2f} points lost"
    if scores.has("split"):
        values["measured on"] = f"the {scores.text('split')} data"
    samples = scores.optional("samples")
    if samples is not None and samples >= 1:
        values["samples"] = f"{units.count(samples)}; one of them is {100 / samples:.2f} points"
    return section("Accuracy", accuracy_chart(scores), facts(values))


def _gate(report: Record) -> Markup:
    gate = report.record("gate")
    passed = gate.truth("passed")
    word, tone = ("passed", "badge") if passed else ("failed", "badge red")
    same = "The same" if passed else "Not the same"
    line = [element("span", word, class_=tone), f" {same} answers as the dense network"]
    if gate.has("inputs"):
        line.append(f", on {units.count(gate.number('inputs'))} inputs")
    if gate.has("reference"):
        line.append(f", against a reference in {gate.text('reference')}")
    line.append(".")
    if passed and any(differs(entry) for entry in gate.named("engines").values()):
        line.append(" An engine that does not agree is neither timed nor chosen.")
    return section(
        "Correctness gate",
        element("p", *line),
        deploy_tables.gate(gate),
        note="Error and bound are those of the output that came nearest to its bound.",
    )


def _machine(report: Record) -> Markup:
    device = report.facts("device")
    if "load" in device:
        device["load average"] = f"{device.pop('load')} (1, 5, 15 minutes)"
    return element(
        "div",
        section("Device", facts(device)),
        section("Versions", facts(report.facts("versions"))),
        class_="pair",
    )


def _foot(report: Record) -> Markup:
    run = report.record("source").text("run", "")
    home = f" Run: {run}" if run else ""
    return element("footer", f"The numbers of this page are in report.json.{home}")
