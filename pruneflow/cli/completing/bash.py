"""What stands on bash's line, and how bash wants its replies.

Bash cuts words at ``=``, ``:`` and ``@`` too, and replaces only what stands behind the last of
these. So the line is read here as the shell will read it, and a reply is the part that bash
replaces, as it was typed, with the rest of the candidate behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from pruneflow.cli.completing.candidates import is_whole
from pruneflow.cli.completing.keys import Words

_SPECIAL = {"": r"[^\w./=:,@%+-]", '"': r'[$`"\\]', "'": r"'"}
_WRITTEN = {"": r"\\\g<0>", '"': r"\\\g<0>", "'": r"'\\''"}

Ask = Callable[[Sequence[str], str], Words]


def replies(line: str, part: str, ask: Ask) -> list[str]:
    """What may stand in the place of a part of the line.

    Args:
        line: From the command up to the cursor, as it was typed: ``COMP_LINE``.
        part: Its last part, which bash replaces: the second argument of a completion function.
        ask: Gives the candidates, from the words between command and cursor and the one there.
    """
    (_, *given, current), quote = read(line)
    found = list(ask(given, current))
    while quote and len(found) == 1 and not is_whole(found[0]):
        if not (further := list(ask(given, found[0]))):
            break  # readline closes the quote behind a single reply, which is too early here
        found = further
    return [_reply(word.removeprefix(current), part, quote, is_whole(word)) for word in found]


def read(line: str) -> tuple[list[str], str]:
    """The words of a line without their quotes, and the quote that is open at its end.

    The last word is the one at the cursor, and may be empty.
    """
    words: list[str] = []
    word: str | None = None
    quote = ""
    characters = iter(line)
    for char in characters:
        if char == "\\" and quote != "'":
            after = next(characters, "")
            kept = char if quote and not re.match(_SPECIAL[quote], after) else ""
            word = f"{word or ''}{kept}{after}"
        elif char == quote or (not quote and char in "'\""):
            quote = "" if quote else char
            word = word or ""
        elif char.isspace() and not quote:
            words += [] if word is None else [word]
            word = None
        else:
            word = f"{word or ''}{char}"
    return [*words, word or ""], quote


def _reply(rest: str, part: str, quote: str, whole: bool) -> str:
    written = re.sub(_SPECIAL[quote], _WRITTEN[quote], rest)
    return f"{part}{written}{' ' if whole and not quote else ''}"
