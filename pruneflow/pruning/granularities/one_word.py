"""Granularities that a recipe writes as one word."""

from __future__ import annotations

from typing import Any, Self

from pruneflow.pruning.granularities.base import Granularity


class OneWord(Granularity):
    """Its ``form`` is all there is to read and to write."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.schema = {"enum": [cls.form]}

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """See base class."""
        return cls() if value == cls.form else None

    def write(self) -> str:
        """See base class."""
        return self.form
