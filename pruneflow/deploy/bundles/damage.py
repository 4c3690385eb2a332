"""How a reader says what is wrong inside a bundle.

Layouts and codecs raise ``Damage`` and know neither the tensor nor the file; whoever knows adds
it on the way up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pruneflow.errors import BundleError

_LONGEST = 100


class Damage(BundleError):  # noqa: N818 - the word for it
    """Bytes that contradict each other."""


def expect(fact: bool, otherwise: str) -> None:
    """Go on only if a fact about the file holds.

    Raises:
        Damage: It does not; the message is ``otherwise``.
    """
    if not fact:
        raise Damage(otherwise)


@contextmanager
def within(name: str) -> Iterator[None]:
    """Context: name the tensor that an error is about."""
    try:
        yield
    except BundleError as error:
        raise type(error)(f"{quoted(name)}: {error}") from None


def quoted(text: object) -> str:
    """Text of a stranger's file, safe to print: no control characters, not too long."""
    shown = str(text)
    shown = shown if shown.isprintable() else ascii(shown)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
