"""The parts that the pages are made of: sections, tables that sort, tiles, keys of charts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pruneflow.report.html import Markup, element, joined

DASHES = {"dashed": "5 3", "dotted": "1.5 2.5"}


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        shown: What stands in it.
        value: What it is sorted by, where that is a number.
        class_: How it looks: ``soft``, ``strong``, ``bad``.
    """

    shown: str
    value: float | None = None
    class_: str = ""


def section(title: str, *children: str, note: str = "") -> Markup:
    """A card with a heading, and a line under it that says how to read it."""
    lead = [element("p", note, class_="note")] if note else []
    return element("section", element("h2", title), *lead, *children)


def table(label: str, columns: Sequence[str], rows: Iterable[Sequence[Cell | str]]) -> Markup:
    """A table in a box of its own that scrolls sideways; a click on a heading sorts.

    Args:
        label: What a screen reader calls it.
        columns: Its headings; ``>`` before a heading sets the column to the right.
        rows: Its cells.
    """
    right = [column.startswith(">") for column in columns]
    heads = [
        element("th", element("button", column.removeprefix(">"), type="button"),
                aria_sort="none", scope="col", class_="right" if is_right else None)
        for column, is_right in zip(columns, right, strict=True)
    ]  # fmt: skip
    body = [
        element("tr", *(_cell(cell, is_right) for cell, is_right in zip(row, right, strict=True)))
        for row in rows
    ]
    inner = element("table", element("thead", element("tr", *heads)), element("tbody", *body))
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=label)


def tile(label: str, value: str, detail: str, tone: str = "") -> Markup:
    """One number, large."""
    return element(
        "div",
        element("dt", label),
        element("dd", element("strong", value), element("span", detail)),
        class_=f"tile {tone}".strip(),
    )


def tiles(*inner: str) -> Markup:
    """Tiles side by side."""
    return element("dl", *inner, class_="tiles")


def charts(*inner: str) -> Markup:
    """Charts side by side, as many as fit."""
    return element("div", *inner, class_="charts")


def chart(title: str, picture: Markup, *below: str) -> Markup:
    """A chart under its title, with its key below."""
    return element("figure", element("figcaption", title), picture, *below)


@dataclass(frozen=True)
class Key:
    """An entry of a chart's key.

    Attributes:
        color: The name of a colour of the page.
        label: What it stands for.
        shape: ``line``, ``dashed``, ``dotted``, ``dot``, ``ring`` or ``box``.
        wide: Whether the line is an emphasised one.
    """

    color: str
    label: str
    shape: str = "line"
    wide: bool = False


def keys(entries: Iterable[Key]) -> Markup:
    """A chart's key, as text of the page, so that it wraps."""
    items = (element("li", _swatch(key), key.label) for key in entries)
    return element("ul", *items, class_="keys")


def bar(share: float) -> Markup:
    """A small bar for a share between 0 and 1."""
    inner = element("rect", width=f"{100 * min(max(share, 0), 1):.1f}", height="6")
    return element("svg", inner, class_="bar", viewBox="0 0 100 6", aria_hidden="true",
                   preserveAspectRatio="none")  # fmt: skip


def facts(values: Mapping[str, str]) -> Markup:
    """Names and what they are, in two columns."""
    pairs = (joined((element("dt", key), element("dd", value))) for key, value in values.items())
    return element("dl", *pairs, class_="facts")


def folded(summary: str, *children: str) -> Markup:
    """What is shown on request."""
    return element("details", element("summary", summary), *children)


def _cell(cell: Cell | str, right: bool) -> Markup:
    cell = Cell(cell) if isinstance(cell, str) else cell
    names = " ".join(filter(None, ("right" if right else "", cell.class_)))
    value = None if cell.value is None else repr(float(cell.value))
    return element("td", cell.shown, class_=names or None, data_value=value)


def _swatch(key: Key) -> Markup:
    color = f"var(--{key.color})"
    if key.shape == "box":
        inner = element("rect", x="7", y="0", width="12", height="12", rx="2", fill=color)
    elif key.shape in ("dot", "ring"):
        fill = "none" if key.shape == "ring" else color
        inner = element("circle", cx="13", cy="6", r="4.5", fill=fill, stroke=color,
                        stroke_width="1.5")  # fmt: skip
    else:
        inner = element("line", x1="1", x2="25", y1="6", y2="6", stroke=color,
                        stroke_width="3.5" if key.wide else "1.8",
                        stroke_dasharray=DASHES.get(key.shape))  # fmt: skip
    return element("svg", inner, class_="swatch", viewBox="0 0 26 12", aria_hidden="true")
