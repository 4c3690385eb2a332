"""YAML from files that anybody may have written: no aliases, no tags, no depth, not too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pruneflow.untrusted import read_text

LARGEST = 2**20
DEEPEST = 64


class _Plain(yaml.SafeLoader):
    """Refuses what could make a small file large or deep in memory."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="aliases and tags are not allowed", problem_mark=event.start_mark
            )
        if self.depth == DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {DEEPEST} levels", problem_mark=event.start_mark
            )
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Whole(yaml.SafeDumper):
    """Writes what stands in two places twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def load(text: str) -> Any:
    """Plain mappings, lists and scalars.

    Raises:
        yaml.YAMLError: It is not YAML, or not plain.
        ValueError: A scalar stands for nothing, such as a date that there is not.
    """
    loader = _Plain(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read(path: Path) -> Any:
    """The content of a file.

    Raises:
        OSError: It is absent or cannot be read.
        yaml.YAMLError: See ``load``.
        ValueError: See ``load``; or it is too large, no file, no text, or a link elsewhere.
    """
    return load(read_text(path, LARGEST))


def dump(tree: Any) -> str:
    """A text that ``load`` reads; keys stay in their order."""
    return yaml.dump(tree, Dumper=_Whole, sort_keys=False, allow_unicode=True)
