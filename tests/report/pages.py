"""A page taken apart by the standard library's parser."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "img"}


@dataclass
class Taken(HTMLParser):
    """The elements of a page, in order, and its text; unbalanced tags fail at once."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    raw: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = [(name, value or "") for name, value in attrs]
        assert len(dict(given)) == len(given), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(given)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.inside and self.inside[-1] in ("style", "script"):
            self.raw[self.inside[-1]] = self.raw.get(self.inside[-1], "") + data
        else:
            self.texts.append(data)

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """Elements with the names of their attributes."""
        return [(tag, tuple(given)) for tag, given in self.tags]

    @property
    def text(self) -> str:
        """Everything there is to read, styles and scripts left out."""
        return "\n".join(self.texts)


def taken(text: str) -> Taken:
    """A page taken apart."""
    parser = Taken()
    parser.feed(text)
    parser.close()
    assert parser.inside == []
    return parser


def require_self_contained(text: str) -> None:
    """Assert that a page asks nobody for anything, and that its policy would stop it."""
    page = taken(text)
    policy = next(given["content"] for _, given in page.tags if "http-equiv" in given)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, given in page.tags:
        assert not [name for name in given if name.startswith("on") or name == "style"], tag
        assert "srcdoc" not in given
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            if name in given:
                assert given[name].startswith(("#", "./", "data:image/png;base64,")), given
        for value in given.values():
            assert "url(" not in value or value.startswith("url(#") or tag in ("title", "svg")
    for word in ("@import", "url(", "http:", "https:", "//"):
        assert word not in page.raw["style"] + page.raw["script"]
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base", "form"}
    assert [tag for tag, _ in page.tags].count("script") == 1
