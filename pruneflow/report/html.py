"""HTML that is escaped by construction, and the frame around a page.

A page is one file that asks nobody for anything: its Content-Security-Policy allows the style and
the script below by their digests, and nothing else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path

from pruneflow import runfolder
from pruneflow.report.printable import printable

GENERATOR = "PruneFlow"
VOID = frozenset({"meta", "img"})


class Markup(str):
    """HTML that was escaped already."""

    __slots__ = ()


def clean(text: str) -> str:
    """Text without what a browser, a terminal or UTF-8 would stumble over."""
    return printable(text).encode("utf-8", "backslashreplace").decode("utf-8")


def markup(name: str, attributes: Mapping[str, str], children: Iterable[str] = ()) -> Markup:
    """An element; what is not :class:`Markup` is escaped."""
    given = "".join(f' {key}="{escape(clean(value))}"' for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def element(name: str, /, *children: str, **attributes: str | None) -> Markup:
    """An element with attributes by name: ``class_`` is class, ``data_value`` data-value."""
    given = {
        key.removesuffix("_").replace("_", "-"): value
        for key, value in attributes.items()
        if value is not None
    }
    return markup(name, given, children)


def joined(children: Iterable[str]) -> Markup:
    """Pieces of a page, one after the other."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(clean(child), quote=False)
            for child in children
        )
    )


def page(title: str, *body: str) -> str:
    """A whole page.

    Args:
        title: Its name in the browser's tab.
        body: What is in it.
    """
    style, script = _asset("page.css"), _asset("table.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        markup("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=GENERATOR),
        element("title", title),
        element("style", Markup(style)),
    )
    main = element("body", element("main", *body), element("script", Markup(script)))
    return f"<!DOCTYPE html>\n{element('html', head, main, lang='en')}\n"


def write(path: Path, text: str) -> None:
    """Write a page, whole or not at all."""
    runfolder.write_bytes(path, text.encode("utf-8"))


def is_page(path: Path) -> bool:
    """Whether a file is a page that was written here."""
    with path.open("rb") as stream:
        return f'name="generator" content="{GENERATOR}"'.encode() in stream.read(4096)


@cache
def _asset(name: str) -> str:
    return files("pruneflow.report").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode('utf-8')).digest()).decode('ascii')}"
