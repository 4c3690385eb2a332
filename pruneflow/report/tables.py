"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pruneflow.pruning.parametrized import told
from pruneflow.report.curves import Curve, told_apart
from pruneflow.report.printable import printable

SHOWN_EVENTS = 60


def plan_summary(plan: Mapping[str, Any]) -> RenderableType:
    """The short form: one line a modifier."""
    table = _table("modifier", "does", ">steps", ">epochs", ">events", ">leaves")
    for name in dict.fromkeys(event["modifier"] for event in plan["events"]):
        events = [event for event in plan["events"] if event["modifier"] == name]
        first, last = events[0], events[-1]
        actions = " + ".join(dict.fromkeys(map(_does, events)))
        pruned = [event for event in events if event["event"] == "prune"]
        _add(
            table,
            name,
            actions,
            _range(first["step"], last["step"]),
            _range(f"{first['epoch']:g}", f"{last['epoch']:g}"),
            str(len(events)),
            _left(pruned[-1]) if pruned else "",
        )
    return Group(_headline(plan), table)


def _does(event: Mapping[str, Any]) -> str:
    """What an event does; of one that marks an edge of something, what that is."""
    if event["event"] != "mark":
        return str(event["event"])
    return str(event["label"]).removesuffix(" begins").removesuffix(" ends")


def plan_table(plan: Mapping[str, Any]) -> RenderableType:
    """Every event with its exact total, then each layer at the end."""
    table = _table(">step", ">epoch", "modifier", "event", "", ">sparsity", ">nonzeros", ">LR")
    events = plan["events"]
    shown = events if len(events) <= SHOWN_EVENTS else events[: SHOWN_EVENTS - 10]
    for event in shown:
        _event_row(table, event)
    if len(shown) < len(events):
        skipped = len(events) - SHOWN_EVENTS
        _add(table, "…", "…", f"{skipped} more", "in plan.json", *[""] * 4)
        for event in events[-10:]:
            _event_row(table, event)
    parts: list[RenderableType] = [_headline(plan), table]
    if events and plan["layers"]:
        parts.append(_layer_table(plan, events[-1]))
    return Group(*parts)


def run_table(result: Mapping[str, Any]) -> RenderableType:
    """A finished run: its layers, biases and the like together, then its outcome."""
    table = _table("layer", ">weights", ">left", ">sparsity", ">bytes, packed")
    layers = result["layers"]
    small = [name for name in layers if len(layers[name]["shape"]) < 2]
    for name in (name for name in layers if name not in small):
        _layer_row(table, name, [layers[name]])
    if small:
        _layer_row(table, f"{len(small)} biases, norms", [layers[name] for name in small])
    ratio = result["compression"]
    outcome = Text.assemble(
        ("sparsity ", "dim"), (f"{result['sparsity']:.2%}", "bold"),
        ("   test accuracy ", "dim"), (accuracies(result["accuracy"]), "bold"),
        ("\nof dense ", "dim"), f"{ratio['parameters']:.2%} of parameters, "
        f"{ratio['bytes']:.2%} of bytes",
    )  # fmt: skip
    if result["status"] != "complete":
        outcome.append(f"   {result['status']}", "bold red")
    return Group(table, outcome)


def sweep_table(jobs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """One line a job; one without a result failed, or never came to its end."""
    columns = [">job", "recipe", ">seed", ">sparsity", ">dense", ">pruned", ">final", ">size"]
    table = _table(*columns)
    several = len({job["result"]["recipe"] for job in jobs if job["result"]}) > 1
    for job, settings in zip(jobs, told_apart(jobs), strict=True):
        result = job["result"]
        if result is None:
            state = Text("failed", "bold red") if job["failure"] else Text("unfinished", "yellow")
            _add(table, job["job"], state, *[""] * 6)
            continue
        scores = result["accuracy"]
        _add(
            table,
            job["job"],
            "\n".join([_kind(result, several), *settings]),
            str(result["seed"]),
            f"{result['sparsity']:.2%}",
            *(_percent(scores[key]) for key in ("dense", "pruned", "final")),
            f"{result['compression']['bytes']:.1%}",
        )
    legend = (
        "Test accuracy before the first pruning (dense), right after the last one (pruned) and "
        "at the end (final); size in bytes of dense, index counted."
    )
    return Group(table, Text(legend, "dim"))


def curves_table(curves: Sequence[Curve]) -> RenderableType:
    """Over seeds: one line for each curve and sparsity."""
    table = _table("over seeds", ">sparsity", ">jobs", ">mean", ">least", ">greatest")
    for curve in curves:
        for point in curve.points:
            scores = (point.mean, point.scores[0], point.scores[-1])
            jobs = str(len(point.scores))
            _add(table, curve.name, f"{point.sparsity:.2%}", jobs, *map(_percent, scores))
    return table


def accuracies(scores: Mapping[str, float | None]) -> str:
    """``98.1 % dense → 95.0 % pruned → 97.8 % final``, as far as known."""
    known = [f"{value:.2%} {name}" for name, value in scores.items() if value is not None]
    return " → ".join(known) or "not measured"


def _layer_row(table: Table, name: str, layers: Sequence[Mapping[str, Any]]) -> None:
    weights = sum(layer["parameters"] for layer in layers)
    left = sum(layer["nonzeros"] for layer in layers)
    packed = sum(layer["bytes"]["packed"] for layer in layers)
    sparsity = f"{1 - left / weights:.2%}" if left < weights else "-"
    _add(table, name, f"{weights:,}", f"{left:,}", sparsity, f"{packed:,}")


def _headline(plan: Mapping[str, Any]) -> Text:
    steps, each = plan["steps"], plan["steps_per_epoch"]
    return Text.assemble(
        ("plan ", "dim"), (printable(plan["recipe"]), "bold"),
        ("   steps ", "dim"), f"{steps:,}", f" ({steps / each:g} epochs of {each:,})",
        ("   weights ", "dim"), f"{plan['weights']:,} in {len(plan['layers'])} layers",
        f"\n{plan['processes']} processes, each with batches of its own"
        if "processes" in plan else "",
        f"\n{printable(told(plan['left_out']))}" if "left_out" in plan else "",
    )  # fmt: skip


def _event_row(table: Table, event: Mapping[str, Any]) -> None:
    unknown = event["nonzeros"] is None
    rate = event.get("lr")
    _add(
        table,
        f"{event['step']:,}",
        f"{event['epoch']:.4g}",
        event["modifier"],
        event["event"],
        Text(event["label"], "dim"),
        "?" if unknown else f"{event['sparsity']:.2%}",
        "by the weights" if unknown else f"{event['nonzeros']:,}",
        "?" if rate is None else f"{rate:.3g}",
    )


def _layer_table(plan: Mapping[str, Any], event: Mapping[str, Any]) -> Table:
    table = _table("layer", ">weights", ">left at the end", ">sparsity")
    for name, shape in plan["layers"].items():
        size = 1
        for length in shape:
            size *= length
        fewest, most = event["layers"][name]
        _add(
        table,
            name,
            f"{size:,}",
            f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}",
            f"{1 - fewest / size:.2%}" if fewest == most
            else f"{1 - most / size:.2%} to {1 - fewest / size:.2%}",
        )  # fmt: skip
    return table


def _left(event: Mapping[str, Any]) -> str:
    if event["nonzeros"] is None:
        return "by the weights"
    return f"{event['nonzeros']:,} ({event['sparsity']:.2%} sparse)"


def _range(first: object, last: object) -> str:
    return str(first) if first == last else f"{first} - {last}"


def _kind(result: Mapping[str, Any], several: bool) -> str:
    """Which recipe, or which control of it; both where there are several recipes."""
    recipe, control = str(result["recipe"]), str(result.get("control", "none"))
    if control == "none":
        return recipe
    return f"{recipe}\n{control}" if several else control


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _add(table: Table, *cells: str | Text) -> None:
    """A row of text as it is: names are other people's, and no markup."""
    table.add_row(*(Text(printable(c)) if isinstance(c, str) else c for c in cells))


def _table(*columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if ">" in column else "left")
    return table
