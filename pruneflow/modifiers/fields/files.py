"""Files that a recipe may name: relative, of a known suffix, and read as data only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pruneflow.modifiers.fields.base import Schema, any_of

# Neither absolute nor upwards nor of another system, in what all dialects have in common.
_PATH = r"(?![/~])(?!.*(\.\.(/|$)|[\\:])).+"


@dataclass(frozen=True)
class TensorFile:
    """A file of named tensors, or one of some words; a recipe comes from anywhere, so no more."""

    words: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = (".safetensors", ".ckpt")

    @property
    def label(self) -> str:
        return " | ".join((*self.words, f"a relative path to a {' or '.join(self.suffixes)} file"))

    def parse(self, value: Any) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        if not isinstance(value, str) or not value.endswith(self.suffixes):
            raise ValueError(f"needs {self.label}, got '{value}'")
        if re.fullmatch(_PATH, value) is None:
            raise ValueError(
                f"'{value}' is not allowed: a recipe names files by paths relative to the folder "
                "it runs in, and none above that"
            )
        return value

    def render(self, value: str) -> str:
        return value

    def schema(self) -> Schema:
        ends = "|".join(re.escape(suffix) for suffix in self.suffixes)
        path: Schema = {
            "type": "string",
            "pattern": rf"^(?=.*({ends})$){_PATH}$",
            "patternErrorMessage": f"needs {self.label}",
        }
        return any_of({"enum": [*self.words]}, path) if self.words else path
