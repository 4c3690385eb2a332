"""Where a word of a composed recipe was written: a line of a file, or the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pruneflow.recipe import library
from pruneflow.recipe.complaints import typed
from pruneflow.recipe.declaration import Locate
from pruneflow.recipe.references import reference_keys
from pruneflow.recipe.source import REFERENCE, KeyPath, Source

_OVERRIDE = re.compile(r"[+~]*([\w./@-]+)=?")


def locator(defaults: Sequence[Any], overrides: Sequence[str]) -> Locate:
    """Finds the place of a key: the command line, else the last file that sets it.

    Args:
        defaults: What Hydra merged, in order.
        overrides: What the person asked for.
    """
    from pruneflow.recipe.hydra_source import recipe_name

    sources: list[tuple[KeyPath, Source]] = []
    for default in defaults:
        name = recipe_name(default.config_path or "")
        if name is not None:
            package = tuple(str(default.package or "").split("."))[1:]
            sources.insert(0, (package, library.load(name)))
    given = {
        match[1]: override
        for override in overrides
        if (match := _OVERRIDE.match(override)) and match[1].startswith("recipe.")
    }

    def locate(path: KeyPath) -> str:
        for length in range(len(path), -1, -1):
            part = path[:length]
            dotted = ".".join(("recipe", *part))
            if dotted in given:
                return typed(given[dotted])
            for package, source in sources:
                inner = part[len(package) :]
                if part[: len(package)] == package and (not inner or inner in source.lines):
                    return source.place(inner)
            below = next((given[key] for key in given if key.startswith(f"{dotted}.")), None)
            if part and below is not None:
                return typed(below)
        return "recipe"

    return locate


def followed(tree: Any, locate: Locate) -> Locate:
    """Finds where a value was written: behind a whole reference, at what it refers to."""

    def follow(path: KeyPath) -> str:
        value = tree
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        whole = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        return follow(tuple(reference_keys(whole[1]))) if whole else locate(path)

    return follow
