"""Names and comments that C takes, of texts that may be anybody's."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 22
"""Letters of a network's name: with ``_classify`` it stays within the 31 that C99 tells apart."""
LONGEST_NODE = 26
"""Letters of a node's: with the network's, a number and ``_values`` it stays within 63."""

KEYWORDS = frozenset({
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else",
    "enum", "extern", "float", "for", "goto", "if", "inline", "int", "long", "main",
    "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct",
    "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
})  # fmt: skip
HEADERS = frozenset({
    "assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits",
    "locale", "math", "setjmp", "signal", "stdarg", "stdbool", "stddef", "stdint", "stdio",
    "stdlib", "string", "tgmath", "time", "wchar", "wctype",
})  # fmt: skip
"""A network's own header is called otherwise."""


def identifier(text: str, longest: int = LONGEST) -> str:
    """A name for C, of lower-case letters, digits and single underscores."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if not name or name[0].isdigit() or name in KEYWORDS | HEADERS:
        name = f"net_{name}".rstrip("_")
    return name[:longest].rstrip("_")


def identifiers(texts: Iterable[str]) -> dict[str, str]:
    """A name for each text, all of them different."""
    found: dict[str, str] = {}
    for text in texts:
        name = wanted = identifier(text, LONGEST_NODE)
        number = 2
        while name in found.values():
            name = f"{wanted}_{number}"
            number += 1
        found[text] = name
    return found


def comment(text: str) -> str:
    """A text that can neither end a comment nor start a new line in it."""
    printable = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return printable.replace("*/", "* /").replace("/*", "/ *").replace("??/", "? ?/")
