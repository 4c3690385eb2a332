"""Other people's words on a terminal: shown as they are, obeyed never."""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"
ACTING = ("Cc", "Zl", "Zp")
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Text whose control characters are spelled out, so that no terminal acts on them."""
    return "".join(_spelled(char) if char not in KEPT and _acts(char) else char for char in text)


def _acts(char: str) -> bool:
    return unicodedata.category(char) in ACTING or char in TURNING


def _spelled(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
