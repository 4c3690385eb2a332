"""matplotlib's figures as inline SVG in the page's own colours, fonts and hover texts.

Only our own words and numbers are drawn: other people's names stand in the page's text and in
``<title>`` elements, where they are escaped. Colours are placeholders while matplotlib draws, and
become CSS variables afterwards, so that one picture serves light and dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any
from xml.etree import ElementTree

from matplotlib import rc_context, style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pruneflow.report.html import Markup, element, markup

SERIES = tuple(f"series-{number}" for number in range(1, 9))
PARTS = tuple(f"part-{number}" for number in range(1, 7))
_NAMES = ("ink", "soft", "line", "card", "accent", "warn", "muted", *SERIES, *PARTS)
COLORS = {name: f"#f0f0{number:02x}" for number, name in enumerate(_NAMES, start=1)}
"""The page's colours by name, as matplotlib may write them."""

WIDTH = 340
FONT_SIZE = 11.5
_KEPT = {"svg", "g", "path", "text", "use", "defs", "clipPath", "rect", "line", "circle"}
_VARIABLES = {color: f"var(--{name})" for name, color in COLORS.items()}
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pruneflow",
    "text.usetex": False,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 0.8,
    "axes.edgecolor": COLORS["line"],
    "axes.labelcolor": COLORS["soft"],
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": COLORS["line"],
    "grid.linewidth": 0.7,
    "text.color": COLORS["ink"],
    "xtick.color": COLORS["line"],
    "ytick.color": COLORS["line"],
    "xtick.labelcolor": COLORS["soft"],
    "ytick.labelcolor": COLORS["soft"],
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.constrained_layout.h_pad": 0.02,
    "figure.constrained_layout.w_pad": 0.02,
}


class Picture:
    """A figure with one pair of axes, made by :func:`picture`.

    Attributes:
        axes: Where to draw; texts are to be our own words and numbers.
    """

    def __init__(self, height: float) -> None:
        self._titles: dict[str, str] = {}
        self._figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        self._figure.patch.set_visible(False)
        self.axes: Axes = self._figure.add_subplot()
        self.axes.patch.set_visible(False)
        self.axes.spines[["top", "right"]].set_visible(False)

    def say(self, artist: Artist, text: str) -> None:
        """What a mark tells when it is pointed at; the text may be anybody's."""
        name = f"mark-{len(self._titles)}"
        artist.set_gid(name)
        self._titles[name] = text

    def inline(self, label: str) -> Markup:
        """The picture as an element of a page.

        Args:
            label: What a screen reader says of it.
        """
        stream = io.BytesIO()
        self._figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return _themed(stream.getvalue(), self._titles, label)


@contextmanager
def picture(height: float = 220) -> Iterator[Picture]:
    """Context: draw in the page's colours, whatever matplotlib's own settings are.

    Args:
        height: In points; the width is the same for all, and all scale with the page.
    """
    with style.context("default"), rc_context(_RC):
        yield Picture(height)


def _themed(drawn: bytes, titles: Mapping[str, str], label: str) -> Markup:
    root = ElementTree.fromstring(drawn)  # noqa: S314 - matplotlib's own, without foreign text
    prefix = sha256(drawn + label.encode("utf-8", "replace")).hexdigest()[:8]
    linked = set(re.findall(rb"#(\w+)", b" ".join(re.findall(rb'(?:url\(|href=")#\w+', drawn))))
    names = {name.decode(): f"{prefix}-{place}" for place, name in enumerate(sorted(linked))}
    children = [_element(child, titles, names) for child in root if _local(child.tag) in _KEPT]
    given = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    return element("div", markup("svg", given, children), class_="picture")


def _element(node: ElementTree.Element, titles: Mapping[str, str], names: Mapping[str, str]) -> str:
    given = dict(_attributes(node, names))
    if _local(node.tag) == "text":
        given = {key: value for key, value in given.items() if not key.startswith("font")}
    title = titles.get(node.attrib.get("id", ""))
    children: list[str] = [] if title is None else [element("title", title)]
    children += [node.text.strip()] if node.text else []
    children += [_element(child, titles, names) for child in node if _local(child.tag) in _KEPT]
    return markup(_local(node.tag), given, children)


def _attributes(node: ElementTree.Element, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Attributes with ``style`` taken apart: the page's policy allows no inline style."""
    for key, value in node.attrib.items():
        name = _local(key)
        if name == "id":
            yield from [("id", names[value])] if value in names else []
        elif name == "style":
            for rule in filter(str.strip, value.split(";")):
                what, _, how = rule.partition(":")
                yield what.strip(), _VARIABLES.get(how.strip(), how.strip())
        elif name == "href":
            yield "href", f"#{names[value.removeprefix('#')]}"
        elif name == "clip-path":
            yield "clip-path", f"url(#{names[value[5:-1]]})"
        else:
            yield name, _rounded(value)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rounded(text: str) -> str:
    """Two decimals are enough for a screen."""
    return re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}", text)
