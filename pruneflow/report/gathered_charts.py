"""Charts over many runs: accuracy against sparsity, and the Pareto fronts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from matplotlib.axes import Axes

from pruneflow.report import scales, units
from pruneflow.report.gathered_row import ESTIMATED, Row
from pruneflow.report.html import Markup, joined
from pruneflow.report.pareto import front
from pruneflow.report.parts import Key, keys
from pruneflow.report.svg import COLORS, SERIES, Picture, picture

Line = tuple[str, str]
"""A recipe on a model: what one line of a chart joins."""

SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


def line_of(row: Row) -> Line:
    """The line that a run belongs to."""
    return row.recipe, row.model


def line_keys(rows: Sequence[Row]) -> dict[Line, Key]:
    """Every line with its colour and its words, the same in all charts of a page."""
    lines = list(dict.fromkeys(line_of(row) for row in rows))
    several = len({model for _, model in lines if model}) > 1
    return {
        line: Key(SERIES[place % len(SERIES)], ", ".join(line if several else line[:1]), "dot")
        for place, line in enumerate(lines)
    }


def accuracy_chart(rows: Sequence[Row], looks: Mapping[Line, Key]) -> Markup | None:
    """Accuracy against sparsity: a line a recipe, with the spread over its seeds.

    Args:
        rows: Runs on the same data.
        looks: How each line is drawn.

    Returns:
        The chart and its key; None where no accuracy is known.
    """
    curves = {line: curve for line in looks if (curve := _curve(rows, line))}
    if not curves:
        return None
    bases = {line: base for line in curves if (base := _mean_dense(rows, line)) is not None}
    scores = [score for curve in curves.values() for each in curve.values() for score in each]
    with picture() as drawing:
        _sparsity_axis(drawing.axes, [sparsity for curve in curves.values() for sparsity in curve])
        scales.shares(drawing.axes.yaxis, [*scores, *bases.values()])
        for line, curve in curves.items():
            color = COLORS[looks[line].color]
            if line in bases:
                level = drawing.axes.axhline(bases[line], color=color, lw=1, ls=":")
                drawing.say(level, f"{looks[line].label}, dense: {units.percent(bases[line])}")
            _draw(drawing, curve, looks[line].label, color, _estimated(rows, line))
        drawing.axes.set_xlabel("sparsity")
        inline = drawing.inline("Test accuracy against sparsity")
    entries = [looks[line] for line in curves]
    extra = [Key("soft", "dense", "dotted")] if bases else []
    return joined((inline, keys([*entries, *extra, *_rings(rows)])))


def pareto_chart(
    rows: Sequence[Row],
    looks: Mapping[Line, Key],
    cost: Callable[[Row], float | None],
    written: Callable[[float], str],
    ticked: Callable[[float], str],
    label: str,
) -> Markup | None:
    """Accuracy against a cost: the front in colour, what it dominates in grey.

    Args:
        rows: Runs on the same data.
        looks: How each line is drawn.
        cost: What is better when low.
        written: How a cost is told.
        ticked: How a cost is written at the axis.
        label: What the axis is called.

    Returns:
        The chart and its key; None where fewer than two runs can be compared.
    """
    found = [
        (row, (paid, row.final))
        for row in rows
        if (paid := cost(row)) is not None and paid > 0 and row.final is not None
    ]
    if len(found) < 2:
        return None
    points = [point for _, point in found]
    best = front(points)
    with picture() as drawing:
        scales.logarithmic(drawing.axes.xaxis, [x for x, _ in points], ticked)
        scales.shares(drawing.axes.yaxis, [y for _, y in points])
        x, y = zip(*(points[place] for place in best), strict=True)
        drawing.axes.step(x, y, where="post", color=COLORS["soft"], lw=1.2, zorder=2)
        for place, (row, point) in enumerate(found):
            on_front = place in best
            color = looks[line_of(row)].color if on_front else "muted"
            (dot,) = drawing.axes.plot(
                *[[value] for value in point], "o", color=COLORS[color], clip_on=False,
                ms=7 if on_front else 4.5, zorder=4 if on_front else 3,
                mfc=COLORS["card" if row.basis == ESTIMATED else color],
            )  # fmt: skip
            drawing.say(dot, _told(row, looks, written(point[0])))
        drawing.axes.set_xlabel(label)
        inline = drawing.inline(f"Test accuracy against {label}, with the Pareto front")
    shown = dict.fromkeys(line_of(found[place][0]) for place in best)
    grey = [Key("muted", "beaten in both", "dot")] if len(best) < len(found) else []
    rings = _rings([row for row, _ in found])
    return joined((inline, keys([*(looks[line] for line in shown), *grey, *rings])))


def _curve(rows: Sequence[Row], line: Line) -> dict[float, list[float]]:
    """Final accuracies by sparsity, rising."""
    found: dict[float, list[float]] = {}
    mine = [row for row in rows if line_of(row) == line]
    for row in sorted(mine, key=lambda row: row.sparsity or 0):
        if row.final is not None and row.sparsity is not None and 0 <= row.sparsity < 1:
            found.setdefault(_grouped(row.sparsity), []).append(row.final)
    return found


def _grouped(sparsity: float) -> float:
    """The sparsity under which a run is drawn."""
    return min(round(sparsity, 4), 0.9999)


def _estimated(rows: Sequence[Row], line: Line) -> set[float]:
    """The sparsities of a line at which an accuracy is an estimate."""
    return {
        _grouped(row.sparsity)
        for row in rows
        if line_of(row) == line and row.basis == ESTIMATED and row.sparsity is not None
    }


def _rings(rows: Sequence[Row]) -> list[Key]:
    return [Key("soft", ESTIMATED, "ring")] if any(r.basis == ESTIMATED for r in rows) else []


def _mean_dense(rows: Sequence[Row], line: Line) -> float | None:
    found = [row.dense for row in rows if line_of(row) == line and row.dense is not None]
    return sum(found) / len(found) if found else None


def _draw(
    drawing: Picture, curve: Mapping[float, Sequence[float]], label: str, color: str,
    estimated: Collection[float],
) -> None:  # fmt: skip
    kept = [1 - sparsity for sparsity in curve]
    means = [sum(scores) / len(scores) for scores in curve.values()]
    low, high = [min(s) for s in curve.values()], [max(s) for s in curve.values()]
    drawing.axes.fill_between(kept, low, high, color=color, alpha=0.16, lw=0)
    drawing.axes.plot(kept, means, color=color, lw=2)
    for x, mean, (sparsity, scores) in zip(kept, means, curve.items(), strict=True):
        if len(scores) > 1:
            drawing.axes.plot([x, x], [min(scores), max(scores)], color=color, lw=1)
        guessed = sparsity in estimated
        (dot,) = drawing.axes.plot([x], [mean], "o", color=color, ms=5, clip_on=False,
                                   mfc=COLORS["card"] if guessed else color)  # fmt: skip
        spread = f", {len(scores)} runs from {min(scores):.2%} to {max(scores):.2%}"
        text = f"{label}, {sparsity:.4g} sparse: {mean:.2%}{spread if len(scores) > 1 else ''}"
        drawing.say(dot, f"{text}, {ESTIMATED}" if guessed else text)


def _sparsity_axis(axes: Axes, sparsities: Sequence[float]) -> None:
    """Sparsity to the right, on the logarithm of what is left: 90, 95 and 98 % lie well apart."""
    low, high = min(sparsities), max(sparsities)
    inside = [value for value in SPARSITIES if low - 1e-9 <= value <= high + 1e-9]
    ticks = inside if len(inside) > 1 else sorted({low, high})
    axes.set_xscale("log")
    room = ((1 - low) / (1 - high)) ** 0.06 * 1.05
    axes.set_xlim((1 - low) * room, (1 - high) / room)
    kept = [1 - value for value in ticks]
    scales.ticked(axes.xaxis, kept, lambda share: f"{100 - 100 * share:.4g}%")


def _told(row: Row, looks: Mapping[Line, Key], cost: str) -> str:
    sparsity = "" if row.sparsity is None else f", {units.percent(row.sparsity)} sparse"
    seed = f", seed {row.seed}" if row.seed else ""
    score = f"{units.percent(row.final)}{f' ({row.basis})' if row.basis else ''}"
    return f"{looks[line_of(row)].label}{sparsity}{seed}: {score}, {cost}"
