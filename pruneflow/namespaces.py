"""Lightning goes by two names, ``pytorch_lightning`` and ``lightning``: what is what in both."""

from __future__ import annotations

NAMESPACES = ("pytorch_lightning.", "lightning.")
"""How the modules of its own code begin."""


def kinds(cls: type) -> set[str]:
    """The names of a class and of those it is derived from: the same in both namespaces."""
    return {each.__name__ for each in cls.__mro__}
