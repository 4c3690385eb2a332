"""Charts of C99 code: its flash by part, and where its buffers lie while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.ticker import MaxNLocator

from pruneflow.report import scales, units
from pruneflow.report.c99_words import PARTS, parts
from pruneflow.report.deploy_charts import part_color, rows_only
from pruneflow.report.html import Markup
from pruneflow.report.parts import Key, keys
from pruneflow.report.record import Record
from pruneflow.report.svg import COLORS, SERIES, Picture, picture
from pruneflow.report.svg import PARTS as HUES

BUFFER_HUES = (*HUES, *SERIES)
MOST_KEYS = 10
"""Buffers that a key names; of more, hovering tells."""


def against_chart(code: Record) -> Markup:
    """The dense network's flash over the sparse one's, by part, on one scale."""
    with picture(118) as drawing:
        ends = [
            _stacked(drawing, row, parts(code, kind), f"{kind} ")
            for row, kind in enumerate(("dense", "sparse"))
        ]
        for row, end in enumerate(ends):
            drawing.axes.annotate(units.size(end), (end, row), (5, 0), va="center",
                                  textcoords="offset points", annotation_clip=False)  # fmt: skip
        drawing.axes.set_xlim(0, 1.24 * max(1, *ends))
        drawing.axes.set_yticks([0, 1], ["dense", "sparse"])
        rows_only(drawing)
        return drawing.inline("Flash of the dense network and of the sparse one")


def flash_chart(code: Record) -> Markup:
    """The sparse network's flash by part."""
    with picture(96) as drawing:
        axes = drawing.axes
        end = _stacked(drawing, 0, parts(code, "sparse"))
        axes.set_ylim(0.5, -0.5)
        axes.set_xlim(0, 1.03 * max(1, end))
        axes.xaxis.set_major_locator(scales.few())
        axes.xaxis.set_major_formatter(lambda value, _: units.size_tick(value) if value else "0")
        axes.set_yticks([])
        axes.spines[["left"]].set_visible(False)
        return drawing.inline("Flash of the sparse network by part")


def flash_keys(sizes: Mapping[str, float]) -> Markup:
    """The key of both charts: each part's bytes and share of the sparse network."""
    whole = sum(sizes.values()) or 1
    return keys(
        Key(_color(name), f"{name} {units.size(value)} ({value / whole:.1%})", "box")
        for name, value in sizes.items()
    )


def buffers_of(code: Record) -> list[Record]:
    """Buffers that have a place and a life."""
    needs = ("offset", "bytes", "first", "last")
    known = (one for one in code.record("memory").records("buffers") if all(map(one.has, needs)))
    return [one for one in known if one.number("bytes") > 0 <= one.number("offset")
            and 0 <= one.number("first") <= one.number("last")]  # fmt: skip


def memory_chart(buffers: Sequence[Record]) -> Markup:
    """Buffers of the workspace: from left to right while they are needed, upwards where they lie.

    Args:
        buffers: One or more.
    """
    with picture(190) as drawing:
        axes = drawing.axes
        for place, one in enumerate(buffers):
            size, first, last = (one.number(key) for key in ("bytes", "first", "last"))
            (box,) = axes.bar(
                [first + 0.5], [size], last - first + 1, one.number("offset"), align="edge",
                color=COLORS[_hue(place)], edgecolor=COLORS["card"], lw=1.2,
            )  # fmt: skip
            where = f"{units.count(size)} bytes at {units.count(one.number('offset'))}"
            drawing.say(box, f"{one.text('name', 'buffer')}: {where}, {_steps(first, last)}")
        top = max(one.number("offset") + one.number("bytes") for one in buffers)
        axes.set_xlim(0.5, max(one.number("last") for one in buffers) + 1.5)
        axes.set_ylim(0, 1.04 * top)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(scales.few())
        axes.yaxis.set_major_formatter(lambda value, _: units.size_tick(value) if value else "0")
        return drawing.inline("Bytes of the workspace over the steps, by buffer")


def memory_keys(buffers: Sequence[Record]) -> Markup:
    """The key of the buffers, where there are few."""
    if len(buffers) > MOST_KEYS:
        return Markup()
    return keys(
        Key(_hue(place), f"{one.text('name', 'buffer')}: {units.size(one.number('bytes'))}", "box")
        for place, one in enumerate(buffers)
    )


def _stacked(drawing: Picture, row: int, sizes: Mapping[str, float], whose: str = "") -> float:
    """Draw parts one after the other; return where they end."""
    left = 0.0
    for name, value in sizes.items():
        (bar,) = drawing.axes.barh([row], [value], 0.56, left=left, color=COLORS[_color(name)])
        drawing.say(bar, f"{whose}{name}: {units.count(value)} bytes")
        left += value
    return left


def _color(name: str) -> str:
    return part_color(PARTS.index(name))


def _hue(place: int) -> str:
    return BUFFER_HUES[place % len(BUFFER_HUES)]


def _steps(first: float, last: float) -> str:
    if first == last:
        return f"in step {first + 1:.0f}"
    return f"from step {first + 1:.0f} to {last + 1:.0f}"
