"""Charts of a deployed network: its bytes, and its latency against the batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pruneflow.report import scales, units
from pruneflow.report.deploy_view import Crossover, crossover, kind
from pruneflow.report.html import Markup, joined
from pruneflow.report.parts import Key, keys
from pruneflow.report.record import Record
from pruneflow.report.svg import COLORS, PARTS, SERIES, Picture, picture

BASE, CHOSEN = "ink", "accent"


def dense_bytes_chart(bundle: Record) -> Markup:
    """The dense network's bytes over the bundle's, on one scale."""
    bars = (("dense, fp32", "dense_bytes", "muted"), ("bundle", "bytes", "accent"))
    with picture(118) as drawing:
        axes = drawing.axes
        for row, (label, key, color) in enumerate(bars):
            value = bundle.number(key)
            (bar,) = axes.barh([row], [value], 0.56, color=COLORS[color])
            drawing.say(bar, f"{label}: {units.count(value)} bytes")
            axes.annotate(units.size(value), (value, row), (5, 0), textcoords="offset points",
                          va="center", annotation_clip=False)  # fmt: skip
        axes.set_xlim(0, 1.24 * max(1, *(bundle.number(key) for _, key, _ in bars)))
        axes.set_yticks([0, 1], [label for label, _, _ in bars])
        rows_only(drawing)
        return drawing.inline("Bytes of the dense network and of the bundle")


def parts_chart(bundle: Record) -> Markup:
    """The bundle's bytes by part, with the entropy bound as a line."""
    parts = bundle.amounts("parts")
    bound, total = bundle.optional("entropy_bytes"), sum(parts.values())
    with picture(118) as drawing:
        axes, left = drawing.axes, 0.0
        for place, (name, value) in enumerate(parts.items()):
            (bar,) = axes.barh([0], [value], 0.62, left=left, color=COLORS[part_color(place)])
            drawing.say(bar, f"{name}: {units.count(value)} bytes")
            left += value
        if bound is not None:
            (line,) = axes.plot([bound, bound], [-0.48, 0.42], color=COLORS["ink"], lw=1.6)
            drawing.say(line, f"entropy bound: {units.count(bound)} bytes")
            side = "right" if bound > 0.5 * max(total, bound) else "left"
            axes.annotate(f"entropy bound {units.size(bound)}", (bound, -0.52), (0, 3),
                          textcoords="offset points", ha=side)  # fmt: skip
        axes.set_ylim(0.5, -0.95)
        axes.set_xlim(0, 1.03 * max(total, bound or 0, 1))
        axes.xaxis.set_major_locator(scales.few())
        axes.xaxis.set_major_formatter(lambda value, _: units.size_tick(value) if value else "0")
        axes.set_yticks([])
        axes.spines[["left"]].set_visible(False)
        return drawing.inline("Bytes of the bundle by part, against the entropy bound")


def part_color(place: int) -> str:
    """The colour of the bundle's nth part."""
    return PARTS[place % len(PARTS)]


def latency_chart(cells: Sequence[Record], engines: Sequence[str]) -> Markup:
    """Latency against the batch on one thread count, a line an engine, and its key.

    Args:
        cells: What was timed, small batches first.
        engines: Every engine, in the order that gives each its colour.
    """
    cells = [cell for cell in cells if cell.number("batch") > 0]
    looks = _looks(cells, engines)
    with picture(250) as drawing:
        drawn = [_line(drawing, cells, name, key) for name, key in looks.items()]
        values = [value for line in drawn for value in line]
        if not values:
            return Markup()
        change = crossover(cells)
        axes = drawing.axes
        scales.batches(axes, [cell.number("batch") for cell in cells])
        scales.logarithmic(axes.yaxis, values, units.duration_tick)
        axes.set_xlabel("batch")
        if change is not None:
            _mark(drawing, change)
        inline = drawing.inline("Latency in microseconds against the batch, by engine")
    timed = [key for key, line in zip(looks.values(), drawn, strict=True) if line]
    timed.sort(key=lambda key: (key.color != CHOSEN, not key.wide))
    return joined((inline, keys([*timed, *_rings(cells)])))


def accuracy_chart(scores: Record) -> Markup:
    """Before and after on one line, with the least that was allowed."""
    before, after = scores.number("before"), scores.number("after")
    marks = [("before", before, "ink", 12), ("after", after, "accent", -19)]
    limit = before - scores.number("allowed") / 100 if scores.has("allowed") else None
    with picture(84) as drawing:
        axes = drawing.axes
        scales.shares(axes.xaxis, [v for v in (before, after, limit) if v is not None])
        axes.plot([before, after], [0, 0], color=COLORS["line"], lw=3, zorder=1)
        for name, value, color, above in marks:
            (dot,) = axes.plot([value], [0], "o", color=COLORS[color], ms=8, clip_on=False)
            drawing.say(dot, f"{name}: {units.percent(value)}")
            axes.annotate(name, (value, 0), (0, above), textcoords="offset points", ha="center",
                          color=COLORS[color])  # fmt: skip
        if limit is not None:
            line = axes.axvline(limit, color=COLORS["warn"], ls=":", lw=1.4)
            drawing.say(line, f"the least allowed: {units.percent(limit)}")
            axes.annotate("least allowed", (limit, 0.98), (4, -8), color=COLORS["warn"],
                          xycoords=("data", "axes fraction"),
                          textcoords="offset points")  # fmt: skip
        axes.set_ylim(-1, 1)
        axes.set_yticks([])
        axes.spines[["left"]].set_visible(False)
        return drawing.inline("Accuracy before and after, and the least allowed")


def _looks(cells: Sequence[Record], engines: Sequence[str]) -> dict[str, Key]:
    """Thick in the accent what ships, thick in ink what it had to beat, thin the others."""
    chosen = Counter(cell.text("chosen") for cell in cells).most_common(1)
    base = Counter(cell.text("best_dense") for cell in cells).most_common(1)
    kinds = {name: kind(cell, name) for cell in cells for name in cell.named("engines")}
    looks = {}
    for place, name in enumerate(engines):
        shape = "dashed" if kinds.get(name) == "dense" else "line"
        ships, rules = name in dict(chosen), name in dict(base)
        role = {(True, True): "runs here, best dense", (True, False): "runs here",
                (False, True): "best dense"}.get((ships, rules))  # fmt: skip
        color = CHOSEN if ships else BASE if rules else SERIES[place % len(SERIES)]
        label = f"{name} ({role or kinds.get(name, '')})"
        looks[name] = Key(color, label, shape, wide=role is not None)
    return looks


def _line(drawing: Picture, cells: Sequence[Record], name: str, key: Key) -> list[float]:
    """Draw an engine; return the latencies that were drawn, spread included."""
    timed = [(cell, cell.named("engines")) for cell in cells]
    found = [(cell, entries[name]) for cell, entries in timed
             if name in entries and entries[name].number("median") > 0]  # fmt: skip
    color, order = COLORS[key.color], 3 if key.wide else 2
    x = [cell.number("batch") for cell, _ in found]
    y = [entry.number("median") for _, entry in found]
    drawing.axes.plot(x, y, color=color, lw=2.6 if key.wide else 1.2, zorder=order,
                      ls=(0, (4, 2)) if key.shape == "dashed" else "-")  # fmt: skip
    values = list(y)
    for cell, entry in found:
        batch, median = cell.number("batch"), entry.number("median")
        spread = [v for v in (entry.optional("low"), entry.optional("high")) if v and v > 0]
        if len(spread) == 2:
            drawing.axes.plot([batch, batch], spread, color=color, lw=1, zorder=order)
            values += spread
        wins = name == cell.text("chosen")
        rules = name == cell.text("best_dense") and not wins
        edge = COLORS[CHOSEN if wins else BASE] if wins or rules else color
        (dot,) = drawing.axes.plot(
            [batch], [median], "o", color=edge, zorder=order + 1, ms=7 if wins or rules else 3.5,
            mfc=COLORS["card"] if rules else edge, mew=1.6, clip_on=False,
        )  # fmt: skip
        drawing.say(dot, f"{name}, batch {batch:.0f}: {units.duration(median)}")
    return values


def _mark(drawing: Picture, change: Crossover) -> None:
    axes = drawing.axes
    axes.axvline(change.batch, color=COLORS["warn"], lw=1.2, ls=":", zorder=1)
    low, high = axes.get_xlim()
    is_right = change.batch > (low * high) ** 0.5
    axes.annotate(f"{change.winner} wins above ≈ {change.batch:.0f}", (change.batch, 0.02),
                  (-5 if is_right else 5, 2), xycoords=("data", "axes fraction"),
                  textcoords="offset points", ha="right" if is_right else "left",
                  color=COLORS["warn"])  # fmt: skip


def _rings(cells: Sequence[Record]) -> list[Key]:
    same = all(cell.text("chosen") == cell.text("best_dense") for cell in cells)
    ring = [] if same else [Key(BASE, "best dense at this batch", "ring")]
    return [Key(CHOSEN, "runs at this batch", "dot"), *ring]


def rows_only(drawing: Picture) -> None:
    """Leave nothing of the axes but the names of rows, the first one on top."""
    axes = drawing.axes
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_visible(False)
    axes.spines[["left", "bottom"]].set_visible(False)


def parts_keys(parts: Mapping[str, float]) -> Markup:
    """The key of the chart by part: each part's bytes and share."""
    total = sum(parts.values()) or 1
    return keys(
        Key(part_color(place), f"{name} {units.size(value)} ({value / total:.1%})", "box")
        for place, (name, value) in enumerate(parts.items())
    )
