"""What stands on bash's line, and that a reply makes of it what was meant."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruneflow.cli.completing.bash import read, replies
from pruneflow.cli.completing.keys import Words

CHARACTERS = st.sampled_from("ab0 \\'\"$`=:@.,~[](){};&|<>*?!#-ü")
TEXTS = st.text(CHARACTERS, min_size=1)
WRITTEN = {
    "": lambda text: re.sub(r"([^\w])", r"\\\1", text),
    "'": lambda text: text.replace("'", r"'\''"),
    '"': lambda text: re.sub(r'([$`"\\])', r"\\\1", text),
}


@given(st.lists(TEXTS))
def test_words_are_read_as_the_shell_reads_them(words: list[str]) -> None:
    assert read(f"{shlex.join(words)} ") == ([*words, ""], "")
    if words:
        assert read(shlex.join(words))[0] == words


@pytest.mark.parametrize(
    ("line", "current", "quote"),
    [
        ("pruneflow train ", "", ""),
        ("pruneflow train re", "re", ""),
        ("pruneflow train 're", "re", "'"),
        ('pruneflow train "a \\"b', 'a "b', '"'),
        ("pruneflow train run='my fo", "run=my fo", "'"),
        ("pruneflow train run=my\\ fo", "run=my fo", ""),
        ("pruneflow train 'a'\"b\"c", "abc", ""),
        ('pruneflow train "\\n', "\\n", '"'),
        ("pruneflow  train\t ''", "", ""),
    ],
)
def test_the_word_at_the_cursor(line: str, current: str, quote: str) -> None:
    words, found = read(line)
    assert (words, found) == (["pruneflow", "train", current], quote)


@given(typed=TEXTS, rest=TEXTS, quote=st.sampled_from(["", "'", '"']))
def test_a_reply_makes_the_candidate_of_what_was_typed(typed: str, rest: str, quote: str) -> None:
    def ask(given: Sequence[str], current: str) -> Words:
        assert (list(given), current) == (["train"], typed)
        return {typed + rest: "", f"{typed}+other": ""}

    part = WRITTEN[quote](typed)
    line = f"pruneflow train {quote}{part}"
    reply, _ = replies(line, part, ask)
    finished = line.removesuffix(part) + reply + (quote if reply[-1:] != " " or quote else "")
    assert read(finished)[0][2] == typed + rest


def test_a_single_reply_inside_quotes_goes_on_until_it_is_whole() -> None:
    """Readline closes the quote behind it."""
    below = {"~a": "~a.", "~a.": "~a.b.", "~a.b.": "~a.b.c"}
    assert replies("p t '~a", "~a", lambda given, current: {below[current]: ""}) == ["~a.b.c"]
    assert replies("p t ~a", "~a", lambda given, current: {below[current]: ""}) == ["~a."]
    nothing: Words = {}
    assert replies(
        "p t '~", "~", lambda given, current: {"~=": ""} if current == "~" else nothing
    ) == ["~="]
