"""Names of modules inside a network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pruneflow.modifiers.fields.base import Schema

_NAME = r"\w+(\.\w+)*"


@dataclass(frozen=True)
class ModuleName:
    """The full name of one module, e.g. ``encoder.head``."""

    label: str = "a module's full name"

    def parse(self, value: Any) -> str:
        if not isinstance(value, str) or re.fullmatch(_NAME, value) is None:
            raise ValueError(f"needs {self.label} such as 'encoder.head', got '{value}'")
        return value

    def render(self, value: str) -> str:
        return value

    def schema(self) -> Schema:
        text = f"needs {self.label}"
        return {"type": "string", "pattern": f"^{_NAME}$", "patternErrorMessage": text}
