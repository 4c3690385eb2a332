"""Read a recipe file: YAML 1.2 scalars, a line for every key, and nothing that could do harm.

A recipe may come from a stranger. It is read event by event into plain mappings, lists and
scalars, and refused before anything else sees it where it is too big or too deep, has anchors,
aliases, tags or duplicate keys, reaches for Hydra's own machinery (``hydra:``, ``@package``,
``_target_``), or holds a reference other than ``${plain.names}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pruneflow.errors import Problem, RecipeError
from pruneflow.recipe.scalars import plain_scalar

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
MAX_ENTRIES = 4_000
"""Keys and list items."""

KeyPath = tuple[str, ...]

REFERENCE = re.compile(r"(?<!\\)\$\{([A-Za-z_]\w*(?:\.[\w-]+)*)\}")
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_DEFAULT_NAME = re.compile(r"[A-Za-z]\w*(?:[/-]\w+)*")
_DEFAULT_GROUP = re.compile(r"(_parts|[A-Za-z]\w*)(@modifiers(\.[A-Za-z_][\w-]*)?)?")


@dataclass(frozen=True)
class Source:
    """One file, read.

    Attributes:
        file: Its name as people know it.
        tree: Plain mappings, lists and scalars.
        lines: The line of every key and list item, by path.
    """

    file: str
    tree: dict[str, Any]
    lines: dict[KeyPath, int] = field(repr=False)

    def place(self, path: KeyPath) -> str:
        """``file:line`` of a key."""
        return f"{self.file}:{self.lines.get(path, 1)}"

    def defaults(self) -> Iterator[tuple[str, str, int]]:
        """The defaults list as triples of group (or ''), name and line, without ``_self_``."""
        for index, entry in enumerate(self.tree.get("defaults") or ()):
            line = self.lines.get(("defaults", str(index)), 1)
            if isinstance(entry, dict):
                ((key, name),) = entry.items()
                if name is not None:
                    yield key.partition("@")[0], name, line
            elif entry != "_self_":
                yield "", entry, line


def read_source(path: Path, file: str | None = None) -> Source:
    """Read and check one recipe file.

    Args:
        path: The file.
        file: How messages call it; by default its path.

    Raises:
        RecipeError: It cannot be read, is not YAML, or holds what a recipe must not hold.
    """
    file = file or str(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise RecipeError(Problem(file, f"cannot be read: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise RecipeError(Problem(file, "is not UTF-8 text")) from None
    if len(data) > MAX_BYTES:
        raise RecipeError(Problem(file, f"is larger than {MAX_BYTES // 1024} kB"))
    return parse_source(text, file)


def parse_source(text: str, file: str) -> Source:
    """Like ``read_source``, from text."""
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*#\s*@package", line):
            _refuse(file, number, "'@package' is not allowed: a recipe sets its own keys only")
    try:
        source = _Builder(file, text).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _refuse(file, mark.line + 1 if mark else 1, _explain(error))
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        _refuse(file, number, f"not valid YAML: the character {chr(error.character)!r}")
    except yaml.YAMLError as error:
        _refuse(file, 1, f"not valid YAML: {error}")
    _check_defaults(source)
    modifiers = source.tree.get("modifiers")  # a list would not merge with a parent's mapping
    entries = modifiers.items() if isinstance(modifiers, dict) else ()
    for path, value in [((), modifiers), *(((name,), value) for name, value in entries)]:
        if isinstance(value, list):
            where = ("modifiers", *path)
            text = f"{'.'.join(where)}: needs named entries such as 'start: 1ep', got a list"
            _refuse(file, source.lines[where], text)
    return source


_NODES = (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent)


class _Builder:
    """Builds the tree from parser events, so that aliases are never expanded."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)

    def build(self) -> Source:
        next(self.events)  # the stream's start
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            _refuse(self.file, 1, "is empty")
        root = self.value(next(self.events), ())
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            self.refuse(after, "holds a second document; a recipe is one")
        if not isinstance(root, dict):
            _refuse(self.file, 1, "a recipe is a mapping such as 'modifiers: {...}'")
        return Source(self.file, root, self.lines)

    def value(self, event: yaml.Event, path: KeyPath) -> Any:
        if len(path) > MAX_DEPTH:
            self.refuse(event, f"is nested deeper than {MAX_DEPTH} levels")
        if not isinstance(event, _NODES) or event.anchor is not None:
            self.refuse(event, "anchors and aliases are not allowed; use '${vars.name}'")
        if event.tag is not None:
            self.refuse(event, f"the tag '{event.tag}' is not allowed: a recipe is plain data")
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(path)
        return self.scalar(event)

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, path)
            if key in tree:
                first = self.lines[(*path, key)]
                self.refuse(event, f"'{key}' is given twice (first on line {first})")
            self.enter((*path, key), event)
            tree[key] = self.value(next(self.events), (*path, key))
        return tree

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            here = (*path, str(len(items)))
            self.enter(here, event)
            items.append(self.value(event, here))
        return items

    def enter(self, path: KeyPath, event: yaml.Event) -> None:
        if len(self.lines) == MAX_ENTRIES:
            self.refuse(event, f"holds more than {MAX_ENTRIES} keys and list items")
        self.lines[path] = _line(event)

    def key(self, event: yaml.Event, path: KeyPath) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
            self.refuse(event, "a key is a plain word")
        key = str(event.value)
        self.refuse_controls(event)
        if key == "<<":
            self.refuse(event, "merge keys are not allowed; use the defaults list")
        if key.startswith("_") and key.endswith("_"):
            self.refuse(event, f"'{key}' is not allowed: a recipe names types, it holds no code")
        if key == "hydra" and not path:
            self.refuse(event, "'hydra' is not allowed in a recipe; it belongs in conf/")
        if "${" in key:
            self.refuse(event, f"'{key}': a key cannot hold a reference")
        return key

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        plain = event.implicit[0]
        self.refuse_controls(event)
        if "${" in text and "${" in REFERENCE.sub("", text):
            self.refuse(event, f"'{text}': only plain references such as ${{sparsity}} are allowed")
        return plain_scalar(text) if plain else text

    def refuse_controls(self, event: yaml.ScalarEvent) -> None:
        """Refuse what a terminal would act on when the text is shown: escapes, line breaks."""
        if found := _CONTROL.search(event.value):
            self.refuse(event, f"the control character {found[0]!a} is not allowed in text")

    def refuse(self, event: yaml.Event, message: str) -> NoReturn:
        _refuse(self.file, _line(event), message)


def _check_defaults(source: Source) -> None:
    entries = source.tree.get("defaults")
    if entries is None:
        return
    place = source.lines[("defaults",)]
    if not isinstance(entries, list):
        _refuse(source.file, place, "'defaults' is a list, e.g. [lenet_imp, _self_]")
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        line = source.lines[("defaults", str(index))]
        group, name = "", entry
        if isinstance(entry, dict) and len(entry) == 1:
            ((group, name),) = entry.items()
            if not _DEFAULT_GROUP.fullmatch(group):
                _refuse(
                    source.file,
                    line,
                    f"defaults: '{group}' reaches outside the recipe; "
                    "write '_parts@modifiers.NAME: FRAGMENT'",
                )
        if (key := group or str(name)) in seen:
            _refuse(source.file, line, f"defaults: '{key}' is given twice")
        seen.add(key)
        if name == "_self_" and not group:
            continue
        if name is None and group:
            continue
        if not isinstance(name, str) or not _DEFAULT_NAME.fullmatch(name):
            _refuse(
                source.file,
                line,
                f"defaults: '{name}' is not the name of a recipe or fragment in recipes/",
            )


def _explain(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem or error.context)
    if "'\\t'" in problem:
        return "a tab character; indent with spaces"
    hint = " (check the indentation and the colons here and on the line above)"
    return f"not valid YAML: {problem}{hint}"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _refuse(file: str, line: int, message: str) -> NoReturn:
    raise RecipeError(Problem(f"{file}:{line}", message))
