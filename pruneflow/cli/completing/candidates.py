"""What may stand next on a command line: the one question that shells ask."""

from __future__ import annotations

from collections.abc import Sequence

from pruneflow.cli import COMMANDS
from pruneflow.cli.completing import commands
from pruneflow.cli.completing.keys import Words
from pruneflow.cli.completing.overrides import overrides


def is_whole(word: str) -> bool:
    """Whether a candidate is complete; one that ends in ``=``, ``.`` or ``/`` goes on."""
    return not word.endswith(("=", ".", "/")) and word.count("[") == word.count("]")


def candidates(given: Sequence[str], current: str) -> Words:
    """What a word may become, and what that means.

    Args:
        given: The words after ``pruneflow`` and before the cursor's, as the shell reads them.
        current: The cursor's word, up to the cursor.

    Returns:
        Words that begin with ``current``, complete or not (``is_whole``).
    """
    found = _next(given, current)
    return {word: what for word, what in found.items() if word.startswith(current)}


def _next(given: Sequence[str], current: str) -> Words:
    if not given:
        flags = {"--help": "what there is", "--version": ""}
        names = {name: command.help for name, command in COMMANDS.items()}
        return flags if current.startswith("-") else names
    command, *words = given
    flag, equals, text = current.partition("=")
    if equals and flag.startswith("--"):
        found = commands.flag_values(flag, text, words) or {}
        return {f"{flag}={word}": what for word, what in found.items()}
    values = commands.flag_values(words[-1], current, words) if words else None
    if values is not None:
        return values
    if current.startswith("-"):
        return commands.flags(command)
    if command in commands.CONFIGURED:
        return overrides(command, words, current)
    return commands.plain_words(command, words, current)
