"""The keys that ``conf/`` declares, read without Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pruneflow.cli.completing.keys import Key, Words, key_of, merged
from pruneflow.recipe import library

SETTINGS = (".yaml", ".yml")


class Conf:
    """Hydra's search path as a command line asks for it.

    Args:
        given: The words before the cursor's.
    """

    def __init__(self, given: Sequence[str]) -> None:
        main = _flag(given, "--config-path", "-cp") or str(library.data_root() / "conf")
        own = _flag(given, "--config-dir", "-cd")
        self.folders = [Path(folder) for folder in (own, main) if folder]
        self.name = _flag(given, "--config-name", "-cn")
        self.chosen = dict(_assignments(given))

    def key(self, name: str) -> Key:
        """Everything that a command's configuration holds."""
        tree, groups = self._composed(self.name or name)
        below = dict(key_of(tree).below)
        for group in groups:
            inner = below[group].below if group in below else {}
            below[group] = Key(f"one of conf/{group}/", self.options(group), inner)
        return Key(below=below)

    def options(self, group: str) -> Words:
        """What a group offers."""
        files = [path for folder in self.folders for path in sorted((folder / group).glob("*"))]
        return {path.stem: head(path) for path in reversed(files) if path.suffix in SETTINGS}

    def groups(self) -> list[str]:
        """Every folder that has options in it, a person's own too."""
        below = (path for folder in self.folders for path in folder.iterdir() if path.is_dir())
        return sorted({path.name for path in below if self.options(path.name)})

    def _composed(self, name: str) -> tuple[dict[str, Any], list[str]]:
        """A configuration with its defaults, and the groups among those."""
        own = self._read(name)
        tree: dict[str, Any] = {}
        groups: list[str] = []
        for entry in own.pop("defaults", None) or ():
            if isinstance(entry, str) and entry != "_self_":
                parent, more = self._composed(entry)
                tree, groups = merged(tree, parent), groups + more
            for group, option in entry.items() if isinstance(entry, Mapping) else ():
                if str(group).isidentifier():
                    groups.append(group)
                    tree[group] = self._read(f"{group}/{self.chosen.get(group, option)}")
        return merged(tree, own), groups

    def _read(self, name: str) -> dict[str, Any]:
        """One file; nothing where it is absent."""
        for folder in self.folders:
            for path in (folder / f"{name}{ending}" for ending in SETTINGS):
                if path.is_file():
                    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
                    return tree if isinstance(tree, dict) else {}
        return {}


def head(path: Path) -> str:
    """The first sentence of the comment at a file's head."""
    return library.description(path).partition(". ")[0].removesuffix(".")


def _flag(given: Sequence[str], *spellings: str) -> str | None:
    """The value of a flag: the word after it, or behind its ``=``."""
    found = None
    for word, after in zip(given, [*given, ""][1:], strict=True):
        flag, equals, value = word.partition("=")
        if flag in spellings:
            found = value if equals else after
    return found


def _assignments(given: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The keys that are set, and to what; of several values the first."""
    for word in given:
        key, equals, value = word.lstrip("+").partition("=")
        if equals:
            yield key, value.partition(",")[0].strip("'\"")
